"""The public author API: all that a module of missions and tools imports.

    @mission("greet", version=1, title="Greeting")
    async def greet(m: Context, request: GreetRequest) -> Verdict: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from missions.context import Context
from missions.engine import registry
from missions.engine.verdict import RetryPolicy, Verdict
from missions.errors import (
    ChangesRequested,
    Denied,
    EffectNotDone,
    Expired,
    InvalidInput,
    MisusedContext,
    OutcomeUnknown,
    Rejected,
    ResultUnusable,
    StepFailed,
    Stopped,
    ToolFailed,
    TryLater,
)
from missions.tools.registry import ProbeResult, ToolCall, tool

__all__ = [
    "ChangesRequested", "Context", "Denied", "EffectNotDone", "Expired", "InvalidInput", "MisusedContext",
    "OutcomeUnknown", "ProbeResult", "Rejected", "ResultUnusable", "RetryPolicy", "StepFailed", "Stopped", "ToolCall",
    "ToolFailed", "TryLater", "Verdict", "mission", "tool",
]

Function = TypeVar("Function", bound=registry.MissionFunction)


def mission(
    name: str, *, version: int = 1, title: str = "", continues: Iterable[int] = ()
) -> Callable[[Function], Function]:
    """Register an async function `(m: Context, input) -> Verdict` as a mission type.

    The input's type (a Pydantic model, a dataclass or a TypedDict) gives the input schema. Raise `version` when the
    code changes what it records. Missions of an earlier version are left to workers that have its code, or to this
    one where it says that it `continues` that version (`m.patched` tells the two apart).
    """

    def decorate(function: Function) -> Function:
        registry.register(name, version, title, function, tuple(continues))
        return function

    return decorate
