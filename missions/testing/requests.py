"""What a mission asks of the world during a test: each call of a tool, noted before it is made."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from missions.engine import codec
from missions.errors import PayloadTooLarge, Unserialisable
from missions.governance import Json
from missions.tools import registry
from missions.tools.spec import ToolCall, ToolSpec


@dataclass(slots=True)
class Request:
    """One call of a tool."""

    spec: ToolSpec
    key: str
    args: Json
    answered: bool = False
    answer: bytes = b""  # as JSON

    @property
    def act(self) -> tuple[str, bytes]:
        """What it asks for, whoever asks."""
        return self.spec.name, codec.dump(self.args)


def _written(answer: Any) -> bytes:
    try:
        return codec.dump(answer)
    except (PayloadTooLarge, Unserialisable):
        return repr(type(answer)).encode()


def _noting(spec: ToolSpec, requests: list[Request]) -> Callable[..., Any]:
    def note(call: ToolCall, args: Json) -> Request:
        requests.append(request := Request(spec, call.idempotency_key, args))
        return request

    def close(request: Request, answer: Any) -> Any:
        request.answered, request.answer = True, _written(answer)
        return answer

    @functools.wraps(spec.function)
    async def awaited(call: ToolCall, **args: Any) -> Any:
        request = note(call, args)
        return close(request, await spec.function(call, **args))

    @functools.wraps(spec.function)
    def called(call: ToolCall, **args: Any) -> Any:
        request = note(call, args)
        return close(request, spec.function(call, **args))

    return awaited if spec.is_async else called


@contextlib.contextmanager
def noted() -> Iterator[list[Request]]:
    """Note every call of every tool while the block runs; the tools themselves do what they always do."""
    requests: list[Request] = []
    specs = registry.all_tools()
    for spec in specs:
        registry.register(replace(spec, function=_noting(spec, requests)))
    try:
        yield requests
    finally:
        for spec in specs:
            registry.register(spec)
