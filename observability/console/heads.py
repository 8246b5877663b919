"""What the page of one mission says above and beside its rail. Reads only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from missions.agents import engagements, goals
from missions.data_classes import opened
from missions.engine import accounts, history
from missions.engine.dependencies import refusal_verdicts
from missions.engine.registry import checkpoint_of
from missions.models import Artifact, Effect, Engagement, Entry, Mission, Outcome, State, Worker
from missions.web.progress import Reported, latest
from observability import stream
from observability.console.family import Family, family_of
from observability.console.listing import BESIDE, asked_beside, decisions_of, wait_in_words
from observability.console.steering import next_step, paused_by, pending_of
from observability.console.words import EFFECTS, STATES, Badge, Wait
from observability.projections import narrate
from observability.told_by_tools import reference, what

ARTIFACTS = 100
LOOK_BACK = 10  # how many items are read to find the last one that says where the mission is
WAITS = {"asked", "sleep", "await"}  # what it waits for is told by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The state of a mission in words."""

    mission: Mission
    badge: Badge
    wait: Wait | None
    beside: list[Wait]  # what else people are asked meanwhile
    has_more_beside: bool
    where: str  # the last thing that happened before it began to wait
    worker: Worker | None
    outcome: Outcome | None
    account: str  # what it has used of its budget
    deadline: dt.datetime | None  # when its time is used up
    progress: Reported | None
    checkpoint: str  # the type's strategy in words
    cleared: str  # the data classes that it may touch
    goal: str  # as it stands; empty where the mission has none beside its title
    amendments: int
    agents: list[Engagement]  # who works on it, each under the version that it came to last
    family: Family
    pending: list[str]  # what was asked of it and is not done yet
    paused_by: str  # who paused it, and what they said
    next_step: str  # what a person can do, where it needs one

    @property
    def goal_version(self) -> int:
        """The version of the goal that holds."""
        return self.amendments + 1

    @property
    def verdict_tone(self) -> str:
        """How the end is shown: what policy or people refused is no success."""
        if self.outcome is not None and self.outcome.verdict in refusal_verdicts():
            return "warn"
        return {State.FAILED: "bad", State.CANCELLED: "quiet"}.get(State(self.mission.state), "ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectLine:
    """One effect in the ledger."""

    effect: Effect
    badge: Badge
    what: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactLine:
    """One artifact, and what its address ends with."""

    artifact: Artifact
    digest: str


def head_of(mission: Mission, seen: Q) -> Head:
    """A mission's head. `mission` comes with its brief and outcome; `seen` is what its reader may see of others."""
    recent = narrate([one for one in stream.earlier(mission.pk, limit=LOOK_BACK)[0] if one.kind not in WAITS])
    asked = decisions_of([mission])
    wait = wait_in_words(mission, asked)
    beside = asked_beside(mission, wait)
    ledger, amended = accounts.ledger_of(mission), goals.current(mission.pk)
    original = goals.original(mission)
    return Head(
        mission=mission, badge=STATES[mission.state], wait=wait,
        beside=beside[:BESIDE], has_more_beside=len(beside) > BESIDE,
        where=recent[-1].sentence if recent else "",
        worker=Worker.objects.filter(pk=mission.owner).first() if mission.owner is not None else None,
        outcome=getattr(mission, "outcome", None), account=", ".join(accounts.lines(ledger)) if ledger else "",
        deadline=ledger.deadline if ledger else None, progress=latest(mission),
        checkpoint=checkpoint_of(mission.type).words, cleared=_cleared(mission),
        goal=amended[-1].text if amended else original if original != mission.brief.title else "",
        amendments=len(amended), agents=engagements.of_mission(mission.pk),
        family=family_of(mission, seen), pending=pending_of(mission),
        paused_by=paused_by(mission), next_step=next_step(mission),
    )  # fmt: skip


def _cleared(mission: Mission) -> str:
    first = history.entries(mission.pk, limit=1)
    return ", ".join(opened(accounts.clearance_of(first[0].payload if first else {}))) or "nothing that bears a class"


def artifacts_of(mission: Mission) -> list[ArtifactLine]:
    """The first of a mission's artifacts, in the order in which they were kept; the API has all."""
    rows = Artifact.objects.filter(mission_id=mission.pk).order_by("seq")[:ARTIFACTS]
    return [ArtifactLine(artifact=row, digest=bytes(row.digest).hex()) for row in rows]


def ledger_of(mission: Mission) -> list[EffectLine]:
    """A mission's effects in order of their intents, in the words of the journal."""
    effects = list(Effect.objects.filter(mission_id=mission.pk).order_by("seq"))
    wanted = {seq for effect in effects for seq in (effect.seq, effect.outcome_seq) if seq}
    rows = list(Entry.objects.filter(mission_id=mission.pk, seq__in=wanted)) if wanted else []
    told = {entry.seq: entry.payload for entry in history.decode(rows)}
    return [_line(effect, told) for effect in effects]


def _line(effect: Effect, told: Mapping[int, dict[str, Any]]) -> EffectLine:
    outcome = told.get(effect.outcome_seq or 0, {})
    return EffectLine(
        effect=effect, badge=EFFECTS[effect.state], what=what(told.get(effect.seq, {"tool": effect.tool})),
        reference=reference(outcome),
    )  # fmt: skip
