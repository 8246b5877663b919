"""One control for many missions, as after an outage. Each has its own transaction, so one refusal stops nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from missions.engine import circuits, controls
from missions.errors import StandfastError
from missions.models import Mission

MOST = 10_000
VERBS = ("pause", "resume", "cancel", "stop", "retry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """What came of a control for one mission; `why` is empty where it was taken."""

    mission: Mission
    why: str


def steer_all(
    missions: QuerySet[Mission] | Iterable[Mission], verb: str, *, reason: str = "", by: str = "",
    key: str | None = None, compensate: bool = False,
) -> list[Steered]:
    """Ask for a control of each mission, at most MOST of them, in the order given.

    The same `key` counts once for each mission, so that a request that was cut off may be repeated. A retry says that
    an outage is over: open circuits are probed by the next call then, or those who retry would fail on them once more.
    """
    if verb == "retry":
        circuits.probe_soon()
    chosen = missions[:MOST] if isinstance(missions, QuerySet) else list(missions)[:MOST]
    facts = {"compensate": True} if compensate and verb == "cancel" else {}
    return [_steered(mission, verb, reason, by, key, facts) for mission in chosen]


def _steered(
    mission: Mission, verb: str, reason: str, by: str, key: str | None, facts: dict[str, bool]
) -> Steered:
    try:
        controls.request(mission.pk, verb, reason=reason, by=by, key=key, **facts)
    except StandfastError as error:
        return Steered(mission=mission, why=str(error))
    return Steered(mission=mission, why="")
