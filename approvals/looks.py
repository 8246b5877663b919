"""Who looked at what before deciding: first looks at a decision and at its evidence, as facts for auditors.

A look is recorded by a POST of its own; reading a page records nothing. Blocks a vote only where policy demands that
evidence is looked at.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from approvals.models import Decision, Look, Seen
from approvals.refusals import BadVote, UnknownDecision
from missions.engine.clock import database_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What one person had looked at when they voted."""

    seconds: float | None  # since their first look at this digest; None where none was recorded
    opened: int  # pieces of evidence


def record(decision_id: uuid.UUID, viewer: User, what: str, item: int = 0) -> bool:
    """Record a first look; False where it was recorded before. Own transaction. Raises UnknownDecision, BadVote.

    `item` is the place of a piece of evidence, from 1. Looking at evidence is looking at the decision too.
    """
    with transaction.atomic():
        decision = Decision.objects.filter(pk=decision_id).first()
        if decision is None:
            raise UnknownDecision
        if what not in Seen.values:
            raise BadVote([{"field": "what", "message": f"One of {', '.join(Seen.values)}."}])
        if what == Seen.EVIDENCE and not 1 <= item <= len(decision.evidence):
            raise BadVote([{"field": "item", "message": f"There are {len(decision.evidence)} pieces of evidence."}])
        wanted = [(Seen.DECISION, 0), *([(Seen.EVIDENCE, item)] if what == Seen.EVIDENCE else [])]
        known = opened(decision, viewer)
        new = [one for one in wanted if one not in known]
        Look.objects.bulk_create([_look(decision, viewer, *one) for one in new], ignore_conflicts=True)
    return bool(new)


def _look(decision: Decision, viewer: User, what: str, item: int) -> Look:
    return Look(
        decision=decision, mission_id=decision.mission_id, viewer=viewer, what=what, item=item, digest=decision.digest,
    )


def opened(decision: Decision, viewer: User) -> set[tuple[str, int]]:
    """What this person has looked at of what is asked now."""
    rows = Look.objects.filter(decision=decision, viewer=viewer, digest=decision.digest)
    return set(rows.values_list("what", "item"))


def attention(decision: Decision, viewer: User) -> Attention:
    """What a vote of now rests on."""
    rows = list(Look.objects.filter(decision=decision, viewer=viewer, digest=decision.digest))
    first = min((row.at for row in rows), default=None)
    seconds = (database_now() - first).total_seconds() if first is not None else None
    return Attention(seconds=seconds, opened=sum(row.what == Seen.EVIDENCE for row in rows))


def demanded(decision: Decision) -> dict[int, str]:
    """The pieces of evidence that policy wants looked at: place, then source."""
    sources = {str(one.get("source")) for one in decision.demands if isinstance(one, dict)}
    told = ((place, _source(item)) for place, item in enumerate(decision.evidence, start=1))
    return {place: source for place, source in told if source in sources}


def _source(item: object) -> str:
    return str(item.get("source") or item.get("tool") or "") if isinstance(item, dict) else ""


def unopened(decision: Decision, viewer: User) -> list[str]:
    """The demanded evidence that this person has not looked at, by source."""
    wanted = demanded(decision)
    if not wanted:
        return []
    known = opened(decision, viewer)
    return sorted({source for place, source in wanted.items() if (Seen.EVIDENCE, place) not in known})
