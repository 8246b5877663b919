"""The timelines of a mission for its page: how each was opened, and which entries were left behind. Reads only."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Max, Min

from missions.control.lineage import spans
from missions.engine import history
from missions.engine.record import OF_CONTROLS
from missions.models import RESTORING, Entry, Kind, Mission, Timeline
from observability.rail import RailItem

VERBS = {
    "rollback": "Rolled back", "retry": "Tried again", "accept": "Accepted what was done", "fork": "Forked",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which entries the current timeline is made of."""

    spans: list[tuple[int, int | None]] = field(default_factory=lambda: [(1, None)])

    def left(self, item: RailItem) -> bool | None:
        """Whether an item was left behind; None where it is no entry and goes with what came before it."""
        if item.seq is None:
            return None
        if item.path.startswith(OF_CONTROLS):
            return False  # what people did to the mission belongs to no timeline
        return not any(low <= item.seq and (high is None or item.seq <= high) for low, high in self.spans)

    def checkpoint(self, item: RailItem) -> bool:
        """Whether a mission can be rolled back to here."""
        return item.kind in RESTORING and not item.path.startswith(OF_CONTROLS) and self.left(item) is False


def lineage_of(mission: Mission) -> Lineage:
    """The lineage of the mission's current timeline."""
    return Lineage(spans(mission)) if mission.timeline != 1 else Lineage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One timeline."""

    number: int
    current: bool
    did: str  # how it was opened
    by: str
    at: dt.datetime | None
    to_seq: int  # the last entry of its parent that it keeps
    reason: str
    guidance: str
    first: int | None  # its own entries
    last: int | None
    source: uuid.UUID | None  # the mission that it was forked from
    source_seq: int


def branches_of(mission: Mission) -> list[Branch]:
    """The timelines, the newest first; empty while there is only the first. At most three statements."""
    opened = {row.number: row for row in Timeline.objects.filter(mission_id=mission.pk)}
    if not opened:
        return []
    rows = Entry.objects.filter(mission_id=mission.pk).values("timeline").order_by("-timeline")
    own = {row["timeline"]: row for row in rows.annotate(first=Min("seq"), last=Max("seq"))}
    numbers = sorted({1, mission.timeline, *opened, *own}, reverse=True)
    sources = _sources(mission, opened)
    return [_branch(mission, number, opened.get(number), own.get(number), sources) for number in numbers]


def _sources(mission: Mission, opened: dict[int, Timeline]) -> dict[int, dict[str, object]]:
    """What the entries that opened forks say of where they came from, by number."""
    seqs = [row.opened_seq for row in opened.values() if row.verb == "fork" and row.opened_seq > 1]
    rows = Entry.objects.filter(mission_id=mission.pk, kind=Kind.TIMELINE, seq__in=seqs) if seqs else []
    return {int(entry.payload["number"]): entry.payload for entry in history.decode(list(rows))}


def _branch(
    mission: Mission, number: int, row: Timeline | None, own: Mapping[str, Any] | None,
    sources: dict[int, dict[str, object]],
) -> Branch:
    copied = row is not None and row.verb == "fork" and row.opened_seq == 1
    told = sources.get(number, {})
    did = "Copied from the mission that it was forked from" if copied else VERBS.get(row.verb, "Opened") if row else ""
    begun = row if row is not None and not copied else None
    return Branch(
        number=number, current=number == mission.timeline, did=did,
        by=str(told.get("by") or "") or (begun.opened_by if begun else ""),
        at=begun.opened_at if begun else None, to_seq=begun.to_seq if begun else 0,
        reason=begun.reason if begun else "", guidance=row.guidance if row else "",
        first=own["first"] if own else None, last=own["last"] if own else None,
        source=uuid.UUID(str(told["source"])) if told.get("source") else None,
        source_seq=int(str(told.get("source_seq") or 0)),
    )  # fmt: skip
