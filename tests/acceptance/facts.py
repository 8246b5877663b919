"""Run inside Django, in a process of its own (`System.facts`): all that the system has recorded, as JSON.

Reads as the outside does: entries through `missions.engine.history`, the rail through `observability.stream`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

from approvals.models import Decision, DecisionState, Retraction, Vote
from missions.engine import history
from missions.models import Alarm, Effect, Entry, Mission, Signal, Takeover, Worker
from missions.models.fields import DatabaseNow
from observability import stream

PAGE = 37  # small, and no divisor of anything, so that pages break in the middle of transactions


def main() -> None:
    """Print the facts."""
    json.dump({name: read() for name, read in FACTS.items()}, sys.stdout, default=str)


def _missions() -> list[dict[str, Any]]:
    fields = (
        "id", "uid", "type", "version", "state", "reason", "owner", "attempt", "timeline", "wake_at", "waits_for",
        "head_seq",
    )
    outcome = ("outcome__verdict", "outcome__summary", "outcome__data", "outcome__error")
    rows = list(Mission.objects.order_by("pk").values(*fields, *outcome))
    for row, mission in zip(rows, Mission.objects.order_by("pk"), strict=True):
        row["verified"] = dataclasses.asdict(history.verify(mission))
        row["input"] = history.entries(mission.pk, limit=1)[0].payload["input"]
    return rows


def _entries() -> list[dict[str, Any]]:
    rows = history.decode(list(Entry.objects.order_by("mission_id", "seq")))
    return [dataclasses.asdict(row) for row in rows]


def _rail(mission_id: int | None = None) -> list[list[int]]:
    """The places of all items in the order in which a reader gets them: tx, source, mission, seq or id."""
    places: list[list[int]] = []
    after = ""
    while True:
        items, after = stream.read(mission_id, after, PAGE)
        cursors = [item.cursor for item in items]
        places += [[place.tx, int(place.source), place.mission_id, place.id] for place in cursors]
        if len(items) < PAGE:
            return places


FACTS: dict[str, Callable[[], Any]] = {
    "missions": _missions,
    "entries": _entries,
    "retractions": lambda: list(Retraction.objects.values("id", "tx", "mission_id")),
    "votes": lambda: list(Vote.objects.values("id", "tx", "mission_id", "decision_id", "voter__username")),
    "takeovers": lambda: list(Takeover.objects.values()),
    "effects": lambda: list(Effect.objects.values("mission_id", "path", "generation", "key", "state", "tool")),
    "signals": lambda: list(Signal.objects.values("mission_id", "seq", "name")),
    "open_decisions": lambda: Decision.objects.filter(state=DecisionState.OPEN).count(),
    "due_alarms": lambda: Alarm.objects.filter(rung_at=None, nominal_at__lte=DatabaseNow()).count(),
    "live_workers": lambda: Worker.objects.filter(dead_at=None).count(),
    "rail": _rail,
    "rails": lambda: {pk: _rail(pk) for pk in Mission.objects.values_list("pk", flat=True)},
}
