"""The public author API: all that a module of missions and tools imports.

    @mission("greet", version=1, title="Greeting")
    async def greet(m: Context, request: GreetRequest) -> Verdict: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from missions.agents.standing import AgentResult, Carried
from missions.context import Context
from missions.context.relations import ChildHandle
from missions.data_classes import DEFAULT, clearance
from missions.engine import registry
from missions.engine.budgets import Budget
from missions.engine.checkpoints import Checkpoint
from missions.engine.verdict import RetryPolicy, Verdict
from missions.errors import (
    AgentFailed,
    AgentInactive,
    BudgetExhausted,
    ChangesRequested,
    ChildFailed,
    Denied,
    EffectNotDone,
    Expired,
    GivenUp,
    InvalidInput,
    MisusedContext,
    OutcomeUnknown,
    PayloadTooLarge,
    Rejected,
    ResultUnusable,
    SpawnRefused,
    StepFailed,
    StepTimedOut,
    Stopped,
    ToolFailed,
    TryLater,
    UnknownAgent,
)
from missions.storage.artifacts import ArtifactRef
from missions.tools.calls import StepCall
from missions.tools.registry import ProbeResult, ToolCall, tool

__all__ = [
    "AgentFailed", "AgentInactive", "AgentResult", "ArtifactRef", "Budget", "BudgetExhausted", "Carried",
    "ChangesRequested", "Checkpoint", "ChildFailed", "ChildHandle", "Context", "Denied", "EffectNotDone", "Expired",
    "GivenUp", "InvalidInput", "MisusedContext", "OutcomeUnknown", "PayloadTooLarge", "ProbeResult", "Rejected",
    "ResultUnusable", "RetryPolicy", "SpawnRefused", "StepCall", "StepFailed", "StepTimedOut", "Stopped", "ToolCall",
    "ToolFailed", "TryLater", "UnknownAgent", "Verdict", "mission", "tool",
]

Function = TypeVar("Function", bound=registry.MissionFunction)


def mission(
    name: str, *, version: int = 1, title: str = "", continues: Iterable[int] = (), keep_days: int | None = None,
    budget: Budget = registry.NO_BUDGET, checkpoint: Checkpoint = registry.EVERY_STEP,
    data_classes: Iterable[str] = DEFAULT, titled: str = "",
) -> Callable[[Function], Function]:
    """Register an async function `(m: Context, input) -> Verdict` as a mission type.

    The input's type (a Pydantic model, a dataclass or a TypedDict) gives the input schema. Raise `version` when the
    code changes what it records. Missions of an earlier version are left to workers that have its code, or to this
    one where it says that it `continues` that version (`m.patched` tells the two apart). `keep_days` overrides
    MISSIONS_KEEP_DAYS for this type (0: keep for ever). Before a mission exceeds its `budget`, people are asked.
    `checkpoint` is what the type keeps, and when. `data_classes` is what its missions are cleared for: levels (public <
    internal < confidential < restricted) and labels; nobody widens it but a new version of the code. `titled` is a
    template over the input, as in "Refund {order_id}": the title of a mission that is started without one.
    """

    def decorate(function: Function) -> Function:
        registry.register(
            name, version, title, function, continues=continues, keep_days=keep_days, budget=budget,
            checkpoint=checkpoint, data_classes=clearance(data_classes), titled=titled,
        )
        return function

    return decorate
