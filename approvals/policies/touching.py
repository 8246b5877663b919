"""Which open decisions a version would touch, were it in force. Reads only.

Only decisions about actions: what is in doubt, or asked by the mission itself, no policy rules on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User

from approvals.intents import intent_of
from approvals.models import Decision, DecisionKind, PolicyVersion
from approvals.policies import evaluate, versions
from approvals.policies.versions import InForce
from missions.governance import Intent, Ruling
from missions.models import Mission
from missions.tools import learning
from missions.visibility import seen_by, unrestricted

LOOKED_AT = 300  # open decisions, so that a page stays quick behind a long queue
AT_SUBMISSION = 10_000  # the same where it is looked once, for those who decide on the change


@dataclass(frozen=True, slots=True)
class Touched:
    """What a version would touch of the open decisions that were looked at: of all, or of those open longest."""

    decisions: tuple[Decision, ...] = ()  # the oldest first
    is_whole: bool = True

    @property
    def count(self) -> str:
        """How many, for people."""
        return f"{len(self.decisions):,}" if self.is_whole else f"at least {len(self.decisions):,}"


def touched(version: PolicyVersion, most: int = LOOKED_AT) -> Touched:
    """The open decisions about actions whose ruling of now differs from that with the version in force.

    Recomputed from the stored actions of at most `most`. Raises InvalidPolicy where the version can not be read.
    """
    learning.refresh()
    now, then = versions.in_force(), versions.in_force(trial=version)
    if not _differs(now, then):
        return Touched()
    rows = Decision.objects.open().filter(kind=DecisionKind.ACTION, mission__isnull=False)
    asked = list(rows.select_related("mission__brief").order_by("opened_at", "pk")[: most + 1])
    found = (one for one in asked[:most] if _judged(one, now) != _judged(one, then))
    return Touched(decisions=tuple(found), is_whole=len(asked) <= most)


def shown_to(user: User | None, decisions: Sequence[Decision]) -> list[Decision]:
    """Those of missions that this person may see; without a person, of missions that are restricted to no group."""
    shown = unrestricted(set()) if user is None else seen_by(user)
    missions = Mission.objects.filter(shown, pk__in={one.mission_id for one in decisions})
    ids = set(missions.values_list("pk", flat=True))
    return [one for one in decisions if one.mission_id in ids]


def _differs(now: InForce, then: InForce) -> bool:
    return (now.tables, now.by_scope, now.unreadable) != (then.tables, then.by_scope, then.unreadable)


def _judged(decision: Decision, force: InForce) -> tuple[object, ...]:
    return _demands(_ruling(intent_of(decision), force))


def _ruling(intent: Intent, force: InForce) -> Ruling:
    if force.unreadable:
        return evaluate.unjudged(force.unreadable)
    return evaluate.ruling(intent, force.tables_for(intent), force.now)


def _demands(ruling: Ruling) -> tuple[object, ...]:
    """What a ruling comes to, without its words and the version's number."""
    return ruling.outcome, ruling.tiers, ruling.rules, ruling.hold_seconds, ruling.evidence
