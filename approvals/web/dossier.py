"""What the decision page shows of a decision: who decides, what would happen, what it rests on, what came of it.

Reads only, and turns rows into plain values; templates escape them and make hidden characters visible.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from approvals import bulk, queue, quorum
from approvals.models import Decision, DecisionKind, DecisionState, OnExpiry, PolicyChange, Tier, TierState, Vote
from approvals.policies import rights
from approvals.roll import Roll
from approvals.web import words
from approvals.web.values import Value, value_of
from approvals.web.words import Sign
from missions.control import lineage
from missions.engine import history
from missions.engine.clock import database_now
from missions.engine.record import OF_CONTROLS
from missions.models import Effect, EffectState, Entry, Kind

FIELDS_SHOWN = 100
NAMES_SHOWN = 8
# Facts that are told elsewhere.
INTERNAL = {
    "account", "agent", "approved", "changed", "chapter", "clearance", "compensate", "covered", "differs", "form",
    "form_changes", "path", "round", "supersedes", "tool", "tool_title", "unevaluated",
}
GIVEN = {"title", "author", "path", "seq"}  # of a piece of evidence, told otherwise
LABELS = {
    "key": "Key of the call", "why": "Why", "deadline_at": "Nothing happens after",
    "untrusted": "It has read what strangers wrote, from",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A tier with its votes."""

    tier: Tier
    votes: int
    cast: list[tuple[Vote, str]]  # with what was done in words
    able: list[str]  # names of those who can still vote, some of them
    more_able: int
    after_time: str
    approvers: list[str]  # who sits in it, in words; empty where its name says so
    unreachable: bool  # fewer people than the quorum needs
    ran_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A decision in the queue."""

    decision: Decision
    kind: Sign
    state: Sign
    reversibility: Sign
    risk: Sign
    group: str
    votes: int
    need: int
    may_bulk: bool
    late: bool
    claimant: str
    by: str


def rows(decisions: list[Decision]) -> list[Row]:
    """The rows of a page, each with its details loaded (`listing.with_details`)."""
    now = database_now()
    roll = Roll.call(decisions)
    return [_row(decision, roll, now) for decision in decisions]


def _row(decision: Decision, roll: Roll, now: dt.datetime) -> Row:
    tiers, holder, tally = decision.open_tiers, decision.holder(now), quorum.tally(decision, roll)
    late = decision.is_open and decision.due_at is not None and decision.due_at <= now
    return Row(
        decision=decision, kind=words.KINDS[decision.kind], state=words.STATES[decision.state],
        reversibility=words.REVERSIBILITY[decision.reversibility], risk=words.RISKS[decision.risk],
        group=", ".join(tier.label for tier in tiers), votes=sum(len(tally.of(tier.order)) for tier in tiers),
        need=sum(tier.quorum for tier in tiers), late=late, may_bulk=not bulk.why_not(decision),
        claimant=holder.get_username() if holder else "", by=", ".join((decision.resolution or {}).get("by", ())),
    )


def stages(decision: Decision) -> list[Stage]:
    """The tiers in order."""
    tiers, now = list(decision.tiers.all()), database_now()
    roll = Roll.call([decision])
    return [_stage(decision, tier, roll, now) for tier in tiers]


def _stage(decision: Decision, tier: Tier, roll: Roll, now: dt.datetime) -> Stage:
    cast = [vote for vote in quorum.standing(decision) if vote.tier_id == tier.pk]
    able = quorum.may_vote(decision, tier, roll)
    waiting = quorum.waited_for(decision, tier, roll)
    names = list(User.objects.filter(pk__in=waiting).order_by("username").values_list("username", flat=True))
    over = tier.expires_at is not None and tier.expires_at <= now
    return Stage(
        tier=tier, approvers=_approvers(tier), able=names[:NAMES_SHOWN],
        votes=len(quorum.tally(decision, roll).of(tier.order)),
        cast=[(vote, words.VOTED[vote.verdict]) for vote in cast],
        more_able=max(0, len(names) - NAMES_SHOWN), after_time=words.AFTER_TIME[tier.on_expiry],
        unreachable=tier.state in (TierState.OPEN, TierState.WAITING) and len(able) < tier.quorum,
        ran_out=tier.state == TierState.OPEN and over,
    )


def _approvers(tier: Tier) -> list[str]:
    seats = [seat.label for seat in tier.approvers.all()]
    return seats if seats != [tier.label] else []


def arguments(decision: Decision) -> list[Value]:
    """What the tool would be called with, what must be given first, with the schema's titles."""
    args: dict[str, Any] = decision.action.get("args") or {}
    schema: dict[str, Any] = decision.action.get("args_schema") or {}
    properties: dict[str, Any] = schema.get("properties") or {}
    ordered = dict.fromkeys([*schema.get("required", ()), *properties])  # PostgreSQL keeps no order of an object
    others = [name for name in args if name not in ordered and name != "differs"]
    names = [name for name in ordered if name in args] + others
    titled = {name: (properties.get(name) or {}).get("title") for name in names}
    return [
        value_of(name, args[name], titled[name] or words.LABELS.get((decision.kind, name)))
        for name in names[:FIELDS_SHOWN]
    ]


def known(decision: Decision) -> list[Value]:
    """What else the mission said when it asked, beside the arguments."""
    args: dict[str, Any] = decision.action.get("args") or {}
    facts = {name: value for name, value in decision.facts.items() if name not in INTERNAL and value not in ("", None)}
    if isinstance(load := facts.get("expected_load"), list):
        facts["expected_load"] = _load(load)
    told = ((name, value) for name, value in facts.items() if args.get(name) != value)
    shown = [*_stands(decision), *itertools.islice(told, FIELDS_SHOWN)]
    return [value_of(name, value, words.LABELS.get((decision.kind, name)) or LABELS.get(name)) for name, value in shown]


def policy_change(decision: Decision, user: User) -> PolicyChange | None:
    """The change of a version that this decision is about, for a reader of policies."""
    if decision.kind != DecisionKind.POLICY_CHANGE or not rights.may_read(user):
        return None
    changes = PolicyChange.objects.filter(decision=decision, version__isnull=False)
    return changes.select_related("policy", "version").first()


def _load(tiers: list[dict[str, Any]]) -> str:
    """What a replay expects to be asked, a line a tier."""
    return "\n".join(
        f"{one['tier']}: asked {one['then']['total']} times instead of {one['now']['total']}" for one in tiers
    )


def _stands(decision: Decision) -> Iterator[tuple[str, Any]]:
    """What an earlier timeline did, of a decision about that."""
    seq = decision.facts.get("stands_seq")
    if decision.kind == DecisionKind.STANDING and isinstance(seq, int) and decision.mission_id:
        rows = Entry.objects.filter(mission_id=decision.mission_id, seq=seq)
        for entry in history.decode(list(rows)):
            yield "was_done", entry.payload.get("sentence") or entry.payload.get("tool") or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A choice, and what it does where the engine knows."""

    value: str
    label: str
    does: str


def options(decision: Decision) -> list[Option]:
    """The choices."""
    kind = decision.kind if is_engines_own(decision) else ""
    return [
        Option(value=one["value"], label=one["label"], does=words.DOES.get((kind, one["value"]), ""))
        for one in decision.choices
    ]


def is_engines_own(decision: Decision) -> bool:
    """Whether the engine asks, so that only its choices are an answer: rejecting them all would say nothing."""
    asks = decision.kind in queue.ENGINES_OWN or decision.path.startswith(OF_CONTROLS)
    return asks and bool(decision.choices)


def asked_after(decision: Decision) -> int:
    """The last entry before the decision was asked, where the mission can be rolled back to it; else 0."""
    mission = decision.mission
    if mission is None or not decision.path or decision.path.startswith(OF_CONTROLS):
        return 0
    rows = Entry.objects.filter(mission_id=mission.pk, timeline=decision.timeline, kind=Kind.ASKED, path=decision.path)
    asked = (one.seq for one in history.decode(list(rows)) if one.payload.get("decision") == str(decision.pk))
    before = next(asked, 1) - 1
    return before if before and lineage.holds(mission, before) else 0


def aftermath(decision: Decision) -> str:
    """What came of an approval; an approved action that still waits is never shown as done."""
    mission = decision.mission
    if decision.state != DecisionState.APPROVED or mission is None:
        return ""
    if decision.is_held:
        return "Approved, waiting to run: the mission is told when the time to undo it is over."
    place = {"mission_id": mission.pk, "timeline": decision.timeline, "path": decision.path}
    effect = Effect.objects.filter(**place).order_by("-generation").first() if decision.path else None
    if effect is not None:
        return EFFECT_WORDS[EffectState(effect.state)]
    if mission.waits_for == f"decision:{decision.pk}":
        return "Approved, waiting to run: no worker has taken the answer to the mission yet."
    return f"The mission has the answer; it is {mission.get_state_display().lower()} now."


EFFECT_WORDS: dict[EffectState, str] = {
    EffectState.INTENDED: "Approved and under way; its outcome is not known yet.",
    EffectState.DONE: "It was done.",
    EffectState.NOT_DONE: "It was not done.",
    EffectState.IN_DOUBT: "It was attempted, and it is in doubt whether it happened.",
    EffectState.UNDONE: "It was done, and undone later.",
}


def time_limits(decision: Decision) -> Iterator[str]:
    """What the clock has done that its reader should know."""
    for tier in decision.tiers.all():
        if tier.expired_at is None:
            continue
        if tier.on_expiry == OnExpiry.ESCALATE and tier.state == TierState.FAILED:
            yield f"Nobody of {tier.label} decided in time, so the next tier was asked."
        elif tier.state == TierState.OPEN:
            yield f"The time of {tier.label} is over; it stays open until someone decides."
