"""Deadlines of missions: an alarm rings, and a mission that has not ended is stopped for a person to look at."""

from __future__ import annotations

import datetime as dt

from missions.engine import alarms, direction
from missions.engine.starting import DEADLINE
from missions.models import Mission


@alarms.handler(DEADLINE)
def ring(subject: str, nominal_at: dt.datetime) -> None:
    """The time has come. People who give a mission more time set a later alarm, not another deadline."""
    mission = Mission.objects.filter(pk=int(subject)).only("deadline_at").first()
    if mission is not None and mission.deadline_at is not None and mission.deadline_at <= nominal_at:
        deadline_passed(mission.pk, nominal_at)


def deadline_passed(mission_id: int, deadline_at: dt.datetime) -> None:
    """Ask for what a passed deadline means; nothing where the mission has ended."""
    reason = f"Its deadline was {deadline_at:%Y-%m-%d %H:%M} UTC."
    direction.direct(mission_id, "deadline", reason=reason, key=f"deadline:{deadline_at.isoformat()}")
