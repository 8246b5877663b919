"""How far a mission's running call has come, from its last heartbeat. Reads only."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from missions.engine import codec
from missions.models import Mission, Progress

WORDS = 200  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The last heartbeat that came of a mission."""

    path: str
    progress: Any
    attempt: int
    reported_at: dt.datetime

    @property
    def words(self) -> str:
        """For people: text as it is, `done` and `total` as parts, a number up to 1 as a percentage, else as JSON."""
        told = self.progress
        if isinstance(told, dict) and {"done", "total"} <= told.keys():
            return f"{_number(told['done'])} of {_number(told['total'])}"
        if isinstance(told, float) and 0 <= told <= 1:
            return f"{told:.0%}"
        text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False) if told is not None else ""
        return text[:WORDS]


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)[:WORDS]


def latest(mission: Mission) -> Reported | None:
    """The newest heartbeat on the mission's timeline; None where it ended, or nothing under way reported any."""
    rows = Progress.objects.filter(mission_id=mission.pk, timeline=mission.timeline, chapter=mission.chapter)
    row = None if mission.ended else rows.order_by("-reported_at").first()
    if row is None:
        return None
    told = codec.load(bytes(row.progress)) if row.progress is not None else None
    return Reported(path=row.path, progress=told, attempt=row.attempt, reported_at=row.reported_at)
