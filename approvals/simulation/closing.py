"""What came of a replay: the sum of its parts, in the shape that pages, API and command line show. Idempotent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from approvals.models import Replay
from approvals.policies import lifecycle
from approvals.simulation import counting, forecast
from approvals.simulation.counting import HOUR_SECONDS, Count
from approvals.simulation.history import Place
from missions.engine.clock import database_now

Json = dict[str, Any]


def close_run(replay: Replay) -> Replay:
    """Add up the parts of a replay that has no more to come; the same replay again as it is.

    Whether it loosens is told against what is in force, not against history, which other versions made.
    """
    with transaction.atomic():
        held = Replay.objects.select_for_update().select_related("version__policy").get(pk=replay.pk)
        if held.summary is None:
            total = summed(held.parts.order_by("number").values_list("counts", flat=True).iterator())
            held.summary, held.loosens = _summary(held, total), total.looser > 0
            held.finished_at = database_now()
            held.save(update_fields=["summary", "loosens", "finished_at"])
            lifecycle.attach_replay(held.version, {**held.summary, "loosens": held.loosens}, via="replay")
        return held


def summed(parts: Iterable[Json]) -> Count:
    """The counts of all parts together."""
    total = Count()
    for part in parts:
        total.add(Count.from_json(part))
    return total


def _summary(replay: Replay, total: Count) -> Json:
    hours = _hours(replay, total)
    return {
        "actions": total.judged, "unrecorded": total.unrecorded, "faulty": total.faulty, "looser": total.looser,
        "differing": total.differing, "changes": dict(total.changes), "decided": dict(total.decided),
        "undone": dict(total.undone), "people": counting.people(total.changes, total.decided, total.undone),
        "hours": hours, "load": [load.as_json() for load in forecast.loads(total.present, total.would, hours)],
    }  # fmt: skip


def _hours(replay: Replay, total: Count) -> int:
    """How long history is: from the window's begin, or from the first question, to its end."""
    asked = [hour for hours in (total.present, total.would) for each in hours.values() for hour in each]
    begin = _begin(replay)
    first = begin if begin is not None else min(asked, default=None)
    if first is None or replay.until is None:
        return 0
    return max(int(replay.until.timestamp()) // HOUR_SECONDS - first + 1, 1)


def _begin(replay: Replay) -> int | None:
    place = Place.from_json(replay.since) if replay.since else Place()
    return int(place.at.timestamp()) // HOUR_SECONDS if place.at != Place().at else None
