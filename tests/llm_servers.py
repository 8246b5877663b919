"""Scripted LLM servers on loopback: OpenAI's `/v1/chat/completions` and Anthropic's `/v1/messages`, plain and streamed.

    with llm_servers.serve(turns(Say(calls=(Call("orders.get", {"order_id": "ORD-1001"}),)), "Done.")) as server:
        ... server.openai, server.anthropic (base URLs), server.provider("local") (an item of LLM_PROVIDERS)
        assert len(server.requests) <= turns + kills

A script is a function of the request (`Asked`) to an answer (tests/llm_answers.py); a plain string is text. With
`nonces=True` every answer carries text that no other one has, so that one that was asked for twice can not pass for one
that was replayed. Runs in a thread with a loop of its own, or as a process:
`python -m tests.llm_servers --port 0 --script tests.x.script`; then `GET /requests` lists what came and `POST /release`
lets go what is held.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from tests.llm_answers import (
    Answer,
    Asked,
    Call,
    Cut,
    Drip,
    Held,
    Huge,
    Late,
    Raw,
    Say,
    Script,
    Silent,
    Status,
    echo,
    in_order,
    out_of_quota,
    overloaded,
    rate_limited,
    turns,
    unauthorised,
    unpaid,
)
from tests.llm_sending import Line
from tests.llm_shapes import EVENTS, WHOLE, error

__all__ = [
    "Answer",
    "Asked",
    "Call",
    "Cut",
    "Drip",
    "Held",
    "Huge",
    "Late",
    "LlmServer",
    "Raw",
    "Say",
    "Script",
    "Silent",
    "Status",
    "echo",
    "in_order",
    "nobody",
    "out_of_quota",
    "overloaded",
    "rate_limited",
    "serve",
    "turns",
    "unauthorised",
    "unpaid",
]  # fmt: skip

APIS = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}

@dataclass
class LlmServer:
    """A running server. What it got and gave may be read from any thread."""

    script: Script
    nonces: bool = False
    port: int = 0
    _requests: list[Asked] = field(default_factory=list)
    _nonces: list[str] = field(default_factory=list)
    _came: threading.Condition = field(default_factory=threading.Condition)
    _held: asyncio.Event = field(default_factory=asyncio.Event)
    _connections: dict[asyncio.Task[None], Line] = field(default_factory=dict)
    _written: int = 0
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def openai(self) -> str:
        """The base URL of the OpenAI-shaped side."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic(self) -> str:
        """The base URL of the Anthropic-shaped side."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Asked]:
        """All requests so far, whatever became of them."""
        with self._came:
            return list(self._requests)

    @property
    def given(self) -> list[str]:
        """The nonces that were handed out, in order."""
        with self._came:
            return list(self._nonces)

    @property
    def written(self) -> int:
        """Bytes of answers' bodies that left."""
        return self._written + sum(line.written for line in list(self._connections.values()))

    def provider(self, name: str, api: str = "openai", **options: object) -> str:
        """An item of LLM_PROVIDERS that names this server."""
        asked = "&".join(f"{key}={value}" for key, value in options.items())
        return f"{name}={api}+{getattr(self, api)}" + (f"?{asked}" if asked else "")

    def wait_for(self, count: int, seconds: float = 20) -> None:
        """Until so many requests came. Raises AssertionError."""
        with self._came:
            came = self._came.wait_for(lambda: len(self._requests) >= count, seconds)
        assert came, f"{len(self._requests)} of {count} requests came in {seconds} s"

    def release(self) -> None:
        """Let go what is held, now and from now on."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._held.set)

    # -- on the server's loop from here on -----------------------------------------------------------------------------
    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept open over many requests; a client that leaves is no fault of the test."""
        task, line = asyncio.current_task(), Line(writer)
        assert task is not None
        self._connections[task] = line
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._serve_one(reader, line):
                    pass
        finally:
            del self._connections[task]
            self._written += line.written
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, line: Line) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = urlsplit(head[0].split(" ")[1]).path  # a proxy is asked with the whole address
        pairs = (header.split(":", 1) for header in head[1:] if header)
        headers = {name.lower(): value.strip() for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if path in APIS:
            asked = self._note(APIS[path], headers, json.loads(body))
            return await self._answer(asked, self._chosen(asked), line)
        return await self._aside(path, line)

    def _note(self, api: str, headers: dict[str, str], body: Any) -> Asked:
        with self._came:
            asked = Asked(api, len(self._requests) + 1, headers, body)
            self._requests.append(asked)
            self._came.notify_all()
        return asked

    def _chosen(self, asked: Asked) -> Answer:
        try:
            return self.script(asked)
        except Exception as wrong:  # a script that fails must be seen, not waited for
            return Status(400, message=f"the script failed: {wrong!r}")

    async def _aside(self, path: str, line: Line) -> bool:
        """What is not the API: asked by tests of the process."""
        if path == "/release":
            self._held.set()
        known = path in ("/requests", "/release")
        found = [asdict(asked) for asked in self.requests] if path == "/requests" else []
        return await line.whole(200 if known else 404, json.dumps(found).encode())

    async def _answer(self, asked: Asked, answer: Answer, line: Line) -> bool:
        """Send it. True where the connection may carry another request."""
        match answer:
            case str() | Say() | Cut():
                return await self._say(asked, answer, line)
            case Late():
                await asyncio.sleep(answer.seconds)
                return await self._answer(asked, answer.then, line)
            case Held():
                await self._held.wait()
                return await self._answer(asked, answer.then, line)
            case Status():
                after = {} if answer.retry_after is None else {"retry-after": str(answer.retry_after)}
                return await line.whole(answer.status, error(asked.api, answer), after)
            case Raw():
                return await line.whole(200, answer.body, {"content-type": answer.content_type})
            case Huge() | Drip():
                return await line.flood(answer, "text/event-stream" if asked.stream else "application/json")
            case Silent():
                await asyncio.Event().wait()
        raise AssertionError(f"not an answer: {answer!r}")

    async def _say(self, asked: Asked, answer: Say | Cut | str, line: Line) -> bool:
        said = answer.then if isinstance(answer, Cut) else answer
        say, identity = self._finished(Say(said) if isinstance(said, str) else said)
        if asked.stream:
            parts, kind = list(EVENTS[asked.api](asked, say, identity)), "text/event-stream"
        else:
            parts, kind = [json.dumps(WHOLE[asked.api](asked, say, identity)).encode()], "application/json"
        if isinstance(answer, Cut):
            return await line.cut(b"".join(parts), answer.share, kind)
        return await (line.parts(parts, kind) if asked.stream else line.whole(200, parts[0]))

    def _finished(self, say: Say) -> tuple[Say, str]:
        """With fresh ids, and the nonce where answers carry one."""
        identity = secrets.token_hex(8)
        if self.nonces:
            with self._came:
                self._nonces.append(identity)
            say = replace(say, text=f"{say.text} [{identity}]".strip())
        calls = (replace(call, id=call.id or f"call_{secrets.token_hex(6)}") for call in say.calls)
        return replace(say, calls=tuple(calls)), identity

    # -- its life ------------------------------------------------------------------------------------------------------
    async def run(self, started: threading.Event, stopping: asyncio.Event) -> None:
        """Serve until told to stop; then cut all connections."""
        self._loop = asyncio.get_running_loop()
        listening = await asyncio.start_server(self.connected, "127.0.0.1", self.port, backlog=1024, limit=2**20)
        self.port = listening.sockets[0].getsockname()[1]
        started.set()
        await stopping.wait()
        listening.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*list(self._connections), return_exceptions=True)


@contextlib.contextmanager
def serve(script: Script | Answer, *, nonces: bool = False, port: int = 0) -> Iterator[LlmServer]:
    """A server in a thread; a script, or one answer to everything."""
    server = LlmServer(script if callable(script) else lambda asked: script, nonces=nonces, port=port)
    started, stopping = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(server.run(started, stopping)), daemon=True, name="llm-server")
    thread.start()
    assert started.wait(10), "the scripted server did not start"
    assert server._loop is not None
    try:
        yield server
    finally:
        server._loop.call_soon_threadsafe(stopping.set)
        thread.join(10)


def nobody() -> int:
    """A port on loopback where nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    """Serve as a process; prints where it listens once it does."""
    parser = argparse.ArgumentParser(description="A scripted LLM server on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", default="tests.llm_answers.echo", help="dotted path of a script")
    parser.add_argument("--nonces", action="store_true")
    asked = parser.parse_args()
    module, _, name = asked.script.rpartition(".")
    server = LlmServer(getattr(importlib.import_module(module), name), nonces=asked.nonces, port=asked.port)

    async def run() -> None:
        started = threading.Event()
        running = asyncio.ensure_future(server.run(started, asyncio.Event()))
        while not started.is_set() and not running.done():
            await asyncio.sleep(0.01)
        print(f"listening on {server.port}", flush=True)
        await running

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


if __name__ == "__main__":
    main()
