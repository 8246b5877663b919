"""What the version of an agent may use in one go before people are asked: turns, tokens, cost.

Beside the mission's own budget and the period budgets of the agent, which hold as well. Reckoned from what is
recorded, so replay asks at the same point.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from missions.effects.budgeting import TIERS
from missions.effects.questions import Question

if TYPE_CHECKING:
    from missions.agents.running import AgentRun

WORDS = {"turns": "turns", "tokens": "tokens", "cost": "of cost"}


async def within(op: AgentRun) -> None:
    """Return once the next turn is within what the agent may use. Raises BudgetExhausted where people refuse more."""
    for what in WORDS:
        while (limit := _limit(op, what)) is not None and getattr(op.used, what) >= limit:
            count = op.raised.get(what, 0) + 1
            await op.more_or_end(_question(op, what, limit, count))
            op.raised[what] = count


def _limit(op: AgentRun, what: str) -> Any:
    first = op.identity.budget.get(what) if op.identity is not None else None
    if first is None:
        return None
    return (Decimal(str(first)) if what == "cost" else int(first)) * (1 + op.raised.get(what, 0))


def _question(op: AgentRun, what: str, limit: Any, count: int) -> Question:
    amount = f"{limit} {WORDS[what]}"
    question = Question(
        op.run, f"{op.path}/limit-{what}#{count}", kind="budget", tiers=TIERS,
        sentence=f"{op.title} has used up its {amount}: allow as much again?",
        details={"budget": what, "agent": op.name, "limit": str(limit)},
    )
    question.reason = "The version of the agent sets this limit."
    return question
