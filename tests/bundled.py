"""Calling a tool as the gateway does, without a mission: arguments checked, secrets resolved."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import secrets
from typing import Any

from missions.secrets import references
from missions.tools.registry import get_tool
from missions.tools.spec import ProbeResult, ToolCall


def call_of(key: str = "", *, seconds: float = 60.0, **more: Any) -> ToolCall:
    """A call whose deadline is so many seconds from now."""
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return ToolCall(idempotency_key=key or secrets.token_hex(32), deadline=deadline, **more)


def called(tool: str, call: ToolCall | None = None, **args: Any) -> Any:
    """What the tool answers. Raises what it raises."""
    spec, call = get_tool(tool), call or call_of()
    plain = spec.check_args(args)
    call.secrets = references.resolve_all(spec.secrets_of(plain))
    answer = spec.function(call, **plain)
    return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer


def probed(tool: str, call: ToolCall, **args: Any) -> ProbeResult:
    """What its probe says of that call."""
    spec = get_tool(tool)
    assert spec.probe is not None
    return asyncio.run(_awaited(spec.probe(call, **spec.check_args(args))))  # type: ignore[no-any-return]


async def _awaited(answer: Any) -> Any:
    return await answer
