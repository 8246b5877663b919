"""Earlier decisions like this one: same tool and mission type, the most alike first, with what came of them.

Found by two indexes (`decision_subject`, `decision_alike`), a few dozen rows each, however many decisions there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from approvals.models import Decision, DecisionKind, DecisionState
from missions.models import Effect, EffectState

SHOWN, LOOKED_AT = 20, 40
DECIDED = (
    DecisionState.APPROVED, DecisionState.REJECTED, DecisionState.CHANGES_REQUESTED, DecisionState.EXPIRED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Precedent:
    """An earlier decision, why it is like this one, and how it ended."""

    decision: Decision
    alike: tuple[str, ...]  # what both share, in words
    rolled_back: bool  # it was done, and undone later


@dataclass(frozen=True, slots=True, kw_only=True)
class Precedents:
    """The earlier decisions, the most alike first, and how many ended how."""

    rows: list[Precedent]
    approved: int
    refused: int
    rolled_back: int


def of(decision: Decision, viewer: User) -> Precedents:
    """At most twenty that this person may see."""
    if not decision.tool:
        return Precedents(rows=[], approved=0, refused=0, rolled_back=0)
    found = {row.pk: row for part in _candidates(decision) for row in part}
    seen = list(Decision.objects.visible_to(viewer).filter(pk__in=found).select_related("mission__brief"))
    ranked = sorted(seen, key=lambda row: (-_score(decision, row), -(row.resolved_at or row.opened_at).timestamp()))
    undone = _undone(ranked[:SHOWN])
    rows = [
        Precedent(decision=row, alike=tuple(_shared(decision, row)), rolled_back=row.pk in undone)
        for row in ranked[:SHOWN]
    ]
    approved = sum(row.decision.state == DecisionState.APPROVED for row in rows)
    return Precedents(rows=rows, approved=approved, refused=len(rows) - approved, rolled_back=len(undone))


def _candidates(decision: Decision) -> list[QuerySet[Decision]]:
    """The latest about the same case, and the latest of about the same amount."""
    settled = Decision.objects.filter(~Q(state=DecisionState.OPEN), kind=DecisionKind.ACTION, tool=decision.tool)
    settled = settled.filter(state__in=DECIDED).exclude(pk=decision.pk).order_by("-resolved_at").only("pk")
    of_type = settled.filter(mission_type=decision.mission_type)
    bands = [None] if decision.band is None else [decision.band, decision.band - 1, decision.band + 1]
    parts = [of_type.filter(band=band) if band is not None else of_type.filter(band=None) for band in bands]
    if decision.subject:
        same = settled.filter(subject=decision.subject).exclude(subject="")
        parts.insert(0, same.filter(mission_type=decision.mission_type))
    return [part[:LOOKED_AT] for part in parts]


def _score(decision: Decision, other: Decision) -> int:
    same_case = bool(decision.subject) and decision.subject == other.subject
    likeness = 8 * int(same_case) + 4 * int(bool(decision.rules == other.rules))
    return likeness + 2 * int(decision.band == other.band) + len(_same_args(decision, other))


def _same_args(decision: Decision, other: Decision) -> list[str]:
    mine, theirs = decision.action.get("args") or {}, other.action.get("args") or {}
    return [name for name in mine if name in theirs and mine[name] == theirs[name]]


def _shared(decision: Decision, other: Decision) -> list[str]:
    words = [f"same {name.replace('_', ' ')}" for name in _same_args(decision, other)[:3]]
    if decision.band is not None and decision.band == other.band and "amount" not in _same_args(decision, other):
        words.append("amount of the same size")
    if decision.rules and decision.rules == other.rules:
        words.append("same rule")
    return words


def _undone(decisions: list[Decision]) -> set[object]:
    """Those whose effect was undone later; one statement."""
    places = {(row.mission_id, row.path): row.pk for row in decisions if row.mission_id and row.path}
    rows = Effect.objects.filter(
        mission_id__in={mission for mission, _ in places}, path__in={path for _, path in places},
        state=EffectState.UNDONE,
    ).values_list("mission_id", "path")
    return {places[place] for place in rows if place in places}
