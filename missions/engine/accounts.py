"""The account of a mission read from outside the engine: what it has used, its limits, and its clearance.

Synchronous, through the ORM; reads only. Counts all timelines: what a rollback left behind was used all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, Q

from missions.data_classes import DEFAULT, Clearance, clearance
from missions.engine import history
from missions.engine.budgets import PREFIX, Ledger, in_words
from missions.models import Entry, Kind, Mission

KINDS = (Kind.STEP_FAILED, Kind.SPENT, Kind.LLM)


def ledger_of(mission: Mission) -> Ledger | None:
    """The account as of now; None for a mission without entries. Two statements, and one more for long payloads."""
    mine = Entry.objects.filter(mission_id=mission.pk)
    wanted = Q(seq=1) | Q(kind__in=KINDS) | Q(path__startswith=PREFIX)
    rows = history.decode(list(mine.filter(wanted).order_by("seq")))
    if not rows:
        return None
    first, started = rows[0], rows[0].payload
    ledger = Ledger(lambda: started, first.recorded_at)
    for entry in rows[1:]:
        ledger.fold(entry.kind, entry.path, entry.payload)
    counts = mine.aggregate(
        steps=Count("seq", filter=Q(kind=Kind.STEP)), effects=Count("seq", filter=Q(kind=Kind.INTENT))
    )
    ledger.spent.steps += counts["steps"]
    ledger.spent.effects += counts["effects"]
    return ledger


def clearance_of(first: Mapping[str, Any]) -> Clearance:
    """What a mission is cleared for, by the payload of its first entry."""
    return clearance(first.get("data_classes", DEFAULT))


def limits(ledger: Ledger) -> dict[str, str | int]:
    """The limits in force that are set: counts as numbers, money as text, `deadline` as an RFC 3339 time."""
    found: dict[str, str | int] = {}
    for what in ("steps", "effects", "cost", "tokens"):
        if (limit := ledger.limit(what)) is not None:
            found[what] = str(limit) if what == "cost" else limit
    if ledger.deadline is not None:
        found["deadline"] = ledger.deadline.isoformat()
    return found


def lines(ledger: Ledger) -> list[str]:
    """The account in words: what is limited, and money and tokens wherever they were spent."""
    told = []
    for what in ("steps", "effects", "cost", "tokens"):
        used, limit = getattr(ledger.spent, what), ledger.limit(what)
        if limit is not None:
            told.append(f"{used} of {in_words(what, limit)}")
        elif used and what in ("cost", "tokens"):
            told.append(in_words(what, used))
    return told
