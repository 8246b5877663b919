"""The public author API: all that a module of missions and tools imports.

    @mission("greet", version=1, title="Greeting")
    async def greet(m: Context, request: GreetRequest) -> Verdict: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from missions.context import Context
from missions.engine import registry
from missions.engine.checkpoints import Checkpoint
from missions.engine.verdict import RetryPolicy, Verdict
from missions.errors import (
    ChangesRequested,
    Denied,
    EffectNotDone,
    Expired,
    GivenUp,
    InvalidInput,
    OutcomeUnknown,
    PayloadTooLarge,
    Rejected,
    ResultUnusable,
    StepFailed,
    StepTimedOut,
    Stopped,
    ToolFailed,
    TryLater,
)
from missions.storage.artifacts import ArtifactRef
from missions.tools.calls import StepCall
from missions.tools.registry import ProbeResult, ToolCall, tool

__all__ = [
    "ArtifactRef", "ChangesRequested", "Checkpoint", "Context", "Denied", "EffectNotDone", "Expired", "GivenUp",
    "InvalidInput", "OutcomeUnknown", "PayloadTooLarge", "ProbeResult", "Rejected", "ResultUnusable", "RetryPolicy",
    "StepCall", "StepFailed", "StepTimedOut", "Stopped", "ToolCall", "ToolFailed", "TryLater", "Verdict", "mission",
    "tool",
]

Function = TypeVar("Function", bound=registry.MissionFunction)


def mission(
    name: str, *, version: int = 1, title: str = "", checkpoint: Checkpoint = registry.EVERY_STEP
) -> Callable[[Function], Function]:
    """Register an async function `(m: Context, input) -> Verdict` as a mission type.

    The input's type (a Pydantic model, a dataclass or a TypedDict) gives the input schema. Raise `version` when the
    code changes what it records. `checkpoint` is what the type keeps, and when.
    """

    def decorate(function: Function) -> Function:
        registry.register(name, version, title, function, checkpoint=checkpoint)
        return function

    return decorate
