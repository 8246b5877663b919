"""What the pages of agents say: versions and their differences, tools, missions, budgets. Reads only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from approvals.budgets import words
from approvals.web.policies.differences import Field, field
from missions.agents import checking, engagements, isolation, reach
from missions.agents.identities import SAID
from missions.engine import period_budgets
from missions.governance import Json
from missions.models import Agent, AgentVersion, Engagement, Mission, PeriodBudget, Stop, StopScope, Subject
from missions.tools import learning
from missions.tools.spec import ToolSpec
from missions.web.access import visible_missions
from observability.console.tool_views import CLASSES
from observability.console.words import STATES, Badge

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MISSIONS_SHOWN: Final = 20
TOOLS_SHOWN: Final = 200
IN_FORCE: Final = Badge("In force", "check", "ok")
STOPPED: Final = Badge("Stopped", "ban", "bad")
INACTIVE, RETIRED = Badge("Not in force", "document"), Badge("Retired", "ban")
LABELS: Final[dict[str, str]] = {
    "title": "Title", "instructions": "Instructions", "llm": "LLM", "tools": "Tools", "data_classes": "Data classes",
    "budget": "Budget", "memory_scope": "Memory", "egress": "May reach", "isolation": "Isolation",
}  # fmt: skip
BUDGETS: Final = {"turns": "turns", "tokens": "tokens", "cost": "of money"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLine:
    """A tool that a version takes in."""

    tool: ToolSpec
    badge: Badge


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionLine:
    """A mission in which the agent works or worked."""

    engagement: Engagement
    mission: Mission
    badge: Badge


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """A period budget of the agent."""

    name: str
    left: str
    limit: str
    period: str


def stopped() -> set[str]:
    """The names of the agents that are stopped."""
    return set(Stop.objects.filter(scope=StopScope.AGENT, lifted_at=None).values_list("name", flat=True))


def state_of(agent: Agent, *, is_stopped: bool) -> Badge:
    """Whether a version of it is in force, and may act."""
    if is_stopped:
        return STOPPED
    return IN_FORCE if agent.active_id is not None else RETIRED if agent.retired_at is not None else INACTIVE


def version_context(version: AgentVersion) -> dict[str, Any]:
    """One version in full, with what it takes in and what it demands."""
    learning.refresh()
    taken, standing = reach.within(version.tools), isolation.standing(version)
    return {
        "version": version, "is_active": version.agent.active_id == version.pk, "standing": standing,
        "self_test": dt.datetime.fromisoformat(standing.checked_at) if standing.checked_at else None,
        "tools": [ToolLine(tool=tool, badge=CLASSES[tool.effect]) for tool in taken[:TOOLS_SHOWN]],
        "more_tools": max(len(taken) - TOOLS_SHOWN, 0), "unmatched": reach.unmatched(version.tools),
        "helpers": [one.removeprefix(reach.AGENT) for one in version.tools if one.startswith(reach.AGENT)],
        "notes": notes(version.warnings),
        "allowance": [f"{version.budget[name]} {word}" for name, word in BUDGETS.items() if name in version.budget],
    }


def notes(warnings: Sequence[Json]) -> list[tuple[str, str]]:
    """Warnings of a version: the field in words, and what is odd about it."""
    return [(LABELS.get(one["field"]) or str(one["field"]), str(one["message"])) for one in warnings]


def has_llm() -> bool:
    """Whether any LLM is configured here, so that agents can work at all."""
    return bool(checking.providers())


def stop_of(agent: Agent) -> Stop | None:
    """The stop that holds this agent's calls, if one does."""
    return Stop.objects.filter(scope=StopScope.AGENT, name=agent.name, lifted_at=None).first()


def missions_of(agent: Agent, user: User) -> tuple[list[MissionLine], bool]:
    """The latest missions in which it works or worked, as far as this person sees them; whether there are more."""
    rows = engagements.current(agent.name, visible_missions(user)).order_by("-mission_id")[: MISSIONS_SHOWN + 1]
    found = engagements.briefed(rows)
    lines = [MissionLine(engagement=row, mission=one, badge=STATES[one.state]) for row, one in found[:MISSIONS_SHOWN]]
    return lines, len(found) > MISSIONS_SHOWN


def budgets_of(agent: Agent) -> list[BudgetLine]:
    """The period budgets that count what this agent uses."""
    rows = PeriodBudget.objects.filter(subject=Subject.AGENT, subject_name=agent.name).order_by("name")
    return [
        BudgetLine(
            name=one.budget.name, left=words.in_words(one.budget, one.left),
            limit=words.in_words(one.budget, one.limit), period=words.period_in_words(one.budget),
        )
        for one in period_budgets.standings(rows)
    ]


def between(old: AgentVersion, new: AgentVersion) -> Sequence[Field]:
    """What the newer one says otherwise, field by field and line by line."""
    said = ((name, getattr(old, name), getattr(new, name)) for name in SAID)
    return [field(LABELS[name], before, after) for name, before, after in said if before != after]
