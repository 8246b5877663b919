"""An LLM server for the workloads: OpenAI's shape, on loopback, in a process of its own. `python -m benchmarks.llm`.

A goal `turns=N wait` makes N-1 turns of calls at once and holds the answer of the last; `GET /go?rate=R` lets those
that are held go, R a second, and all later ones at once. `GET /told` gives, for each goal, when requests of it came and
when each was answered, on the machine's monotonic clock. Every answer carries a nonce that no other one has.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

GOAL = re.compile(r"turns=(\d+) [\w-]+")
SUMMARY = "Write the summary"
BODY = {"id": "bench", "object": "chat.completion", "created": 1, "model": "bench"}
Json = dict[str, Any]


class Server:
    """What came, what is held."""

    def __init__(self) -> None:
        self._told: dict[str, list[Json]] = {}
        self._turns: dict[str, int] = {}  # of calls that were answered
        self._waiting: list[asyncio.Event] = []
        self._open = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, with as many requests as it likes."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                found = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(found.group(1)) if found else 0)
                answer = json.dumps(await self._answer(head.split(" ")[1], body)).encode()
                lines = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n\r\n"
                writer.write(lines.encode() + answer)
                await writer.drain()
        writer.close()

    async def _answer(self, path: str, body: bytes) -> Any:
        if path.startswith("/go"):
            rate = float(parse_qs(urlsplit(path).query)["rate"][0])
            self._releasing = asyncio.ensure_future(self._release(rate))
            return {}
        return self._told if path.startswith("/told") else await self._think(json.loads(body))

    async def _release(self, rate: float) -> None:
        for event in self._waiting:
            event.set()
            await asyncio.sleep(1 / rate)
        self._open = True

    async def _think(self, asked: Json) -> Json:
        texts = [str(one.get("content")) for one in asked["messages"]]
        goal = GOAL.search("\n".join(texts))
        if goal is None:
            return _said("No goal.")
        told = self._told.setdefault(goal.group(), [])
        told.append(moment := {"came": time.monotonic()})
        if any(SUMMARY in text for text in texts):
            return self._sent(moment, _said("So far, so good."))
        goal_turns, made = int(goal.group(1)), self._turns.get(goal.group(), 0)
        if made >= goal_turns:
            return self._sent(moment, _said("Done."))
        if made == goal_turns - 1 and not self._open:
            self._waiting.append(event := asyncio.Event())
            await event.wait()
        self._turns[goal.group()] = made + 1
        return self._sent(moment, _called())

    @staticmethod
    def _sent(moment: Json, answer: Json) -> Json:
        moment["answered"] = time.monotonic()
        return answer


def _said(text: str) -> Json:
    message = {"role": "assistant", "content": f"{text} [{secrets.token_hex(8)}]"}
    return _whole(message, "stop")


def _called() -> Json:
    call = {"id": secrets.token_hex(6), "type": "function", "function": {"name": "bench-moment", "arguments": "{}"}}
    message = {"role": "assistant", "content": secrets.token_hex(8), "tool_calls": [call]}
    return _whole(message, "tool_calls")


def _whole(message: Json, finish: str) -> Json:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {**BODY, "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}}


async def main() -> None:
    """Serve until killed; prints the port."""
    server = await asyncio.start_server(Server().serve, "127.0.0.1", 0, backlog=1024, limit=2**22)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
