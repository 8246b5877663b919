"""What a scripted LLM may answer, and what it is asked.

Pure: tests/llm_shapes.py writes an answer down, tests/llm_servers.py sends it. An answer is good (`Say`), refused
(`Status`) or hostile.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the LLM asks for; without an id it gets a fresh one."""

    tool: str
    args: Json = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """A good answer: text, tool calls, or both. `usage` is (input, output) tokens; None counts roughly."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    usage: tuple[int, int] | None = None
    finish: str = ""  # OpenAI's word; empty: stop or tool_calls


@dataclass(frozen=True, slots=True)
class Status:
    """An error with its HTTP status; `body` empty: an error as the API writes it, of this type and code."""

    status: int
    retry_after: float | str | None = None
    type: str = "error"
    code: str | None = None
    message: str = "refused by the script"
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Raw:
    """These very bytes as the answer: bad JSON, wrong shapes."""

    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is reset after this share of the answer's bytes; 0: before the first one."""

    then: Say
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Huge:
    """So many bytes of text; None: without an end."""

    size: int | None = None


@dataclass(frozen=True, slots=True)
class Drip:
    """An answer that never ends and never stops: a blank every so many seconds, so that no read times out."""

    every_seconds: float = 0.05


@dataclass(frozen=True, slots=True)
class Silent:
    """Headers and answer never come."""


@dataclass(frozen=True, slots=True)
class Late:
    """`then`, after so many seconds."""

    seconds: float
    then: Any


@dataclass(frozen=True, slots=True)
class Held:
    """`then`, once the test calls `server.release()`."""

    then: Any


Answer = Say | Status | Raw | Cut | Huge | Drip | Silent | Late | Held | str


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the server got it. `number` counts from 1 over the server's life."""

    api: str  # "openai" or "anthropic"
    number: int
    headers: dict[str, str]
    body: Json

    @property
    def messages(self) -> list[Json]:
        """The messages so far, as this API writes them."""
        return list(self.body.get("messages", ()))

    @property
    def turn(self) -> int:
        """How many answers of the LLM the request holds: 0 for the first. The same again after a kill."""
        return sum(message["role"] == "assistant" for message in self.messages)

    @property
    def stream(self) -> bool:
        """Whether events are asked for."""
        return bool(self.body.get("stream"))

    @property
    def tools(self) -> list[str]:
        """The names of the tools that are offered."""
        return [tool.get("function", tool)["name"] for tool in self.body.get("tools", ())]

    @property
    def text(self) -> str:
        """The whole request as text, for searching it (also for what must not be in it)."""
        return json.dumps(self.body, ensure_ascii=False)

    @property
    def results(self) -> list[tuple[str, str]]:
        """(id, content as text) of the tool results that the request holds, in order."""
        found = []
        for message in self.messages:
            if message["role"] == "tool":
                found.append((message["tool_call_id"], plain(message["content"])))
            blocks = message["content"] if isinstance(message.get("content"), list) else ()
            found += [(b["tool_use_id"], plain(b.get("content", ""))) for b in blocks if b["type"] == "tool_result"]
        return found


Script = Callable[[Asked], Answer]


def plain(content: Any) -> str:
    """Text of a message's content, whether a string or blocks."""
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content or ())


def rate_limited(retry_after: float | str | None = 17) -> Status:
    """429, come back later."""
    return Status(429, retry_after, type="rate_limit_error", code="rate_limit_exceeded", message="Too many requests")


def overloaded(retry_after: float | None = None) -> Status:
    """Anthropic's 529."""
    return Status(529, retry_after, type="overloaded_error", message="Overloaded")


def out_of_quota() -> Status:
    """OpenAI's 429 that waiting does not mend."""
    return Status(429, type="insufficient_quota", code="insufficient_quota", message="You exceeded your current quota")


def unpaid() -> Status:
    """402."""
    return Status(402, type="billing_error", code="billing_error", message="Your credit balance is too low")


def unauthorised() -> Status:
    """401."""
    return Status(401, type="authentication_error", code="invalid_api_key", message="Incorrect API key provided")


def turns(*answers: Answer) -> Script:
    """By the messages so far: the n-th answer to a request that holds n answers. The last one repeats."""
    return lambda asked: answers[min(asked.turn, len(answers) - 1)]


def in_order(*answers: Answer) -> Script:
    """By the count of requests, whatever they hold. The last one repeats."""
    return lambda asked: answers[min(asked.number, len(answers)) - 1]


def echo(asked: Asked) -> Answer:
    """The last message, back."""
    return f"You said: {plain(asked.messages[-1]['content'])}"
