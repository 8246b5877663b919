"""MCP messages on the wire, whichever way they travel: reading them strictly, and how large an answer may be.

Pure. Whatever is no plain JSON object of the protocol is refused by a ValueError, which its reader turns into what it
knows of the request: certainly not sent, or unknown.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NoReturn

from mcp.shared.exceptions import MCPError

from missions.errors import OutcomeUnknown
from missions.tools.servers import ANSWER_BYTES

FLOOD_BYTES, FLOOD_MESSAGES = 16 * 1024 * 1024, 10_000  # that nobody asked for, before a server is given up
KEY_META = "standfast/idempotency-key"
DEADLINE_META = "standfast/deadline"
_allowed: ContextVar[int] = ContextVar("answer_bytes", default=ANSWER_BYTES)


class TooLarge(ValueError):
    """The answer is larger than allowed; the rest of it was not read."""

    def __init__(self, allowed: int) -> None:
        super().__init__(f"The answer is larger than {allowed:,} bytes")


class Flood(ValueError):
    """The server sends what nobody asked for, without end."""

    def __init__(self) -> None:
        super().__init__("The server sends without end what nobody asked for")


@contextlib.contextmanager
def answers_up_to(size: int) -> Iterator[None]:
    """Requests made inside, by this task, take answers of at most so many bytes."""
    token = _allowed.set(size)
    try:
        yield
    finally:
        _allowed.reset(token)


def answer_bytes() -> int:
    """How large the answer to a request made now may be."""
    return _allowed.get()


def request(ids: Iterator[int], method: str, params: Mapping[str, Any] | None) -> tuple[int, bool, bytes]:
    """A new request: its id, whether it carries a key, and its text. Raises ValueError for what JSON can not hold."""
    number, body = next(ids), dict(params or {})
    keyed = KEY_META in (body.get("_meta") or {})
    return number, keyed, encoded({"jsonrpc": "2.0", "id": number, "method": method, "params": body})


def notification(method: str, params: Mapping[str, Any] | None) -> bytes:
    """The text of a message that nobody answers."""
    return encoded({"jsonrpc": "2.0", "method": method, **({"params": dict(params)} if params else {})})


def numbers() -> Iterator[int]:
    """Ids of requests."""
    return itertools.count(1)


def encoded(message: Mapping[str, Any]) -> bytes:
    """A message as one line of JSON, without its end."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()


def decoded(text: str | bytes) -> Any:
    """Strict JSON. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The answer is not JSON ({error})") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def is_answer(message: Any, number: int) -> bool:
    """Whether this is the response to that request; servers that could not read the id answer with none."""
    if not isinstance(message, dict) or not ("result" in message or "error" in message):
        return False
    return str(message.get("id")) == str(number) or ("error" in message and message.get("id") is None)


def result_of(answer: Any) -> dict[str, Any]:
    """The result in an answer. Raises MCPError for an error of the protocol, OutcomeUnknown where there is neither."""
    error = answer.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        raise MCPError(code if isinstance(code, int) else 0, str(error.get("message", "")), error.get("data"))
    result = answer.get("result")
    if not isinstance(result, dict):
        raise OutcomeUnknown("The server answered without a result.")
    return result
