"""The port through which layers above hear that missions end: who listens, and the alarm that tells them.

Owns the rows of `Listener`. The lane writes the alarm `mission.outcome:ID` where a row fits (`sql/ended.sql`); whoever
listens registers its handler (`missions.engine.alarms.handler(OUTCOME)`). Nothing that a mission depends on may hang on
it: those who wait are told by `missions.engine.endings`.
"""

from __future__ import annotations

from missions.models import Listener

OUTCOME = "mission.outcome"
ALL = "all"  # every mission


def of_mission(mission_id: int) -> str:
    """The subject of one mission."""
    return f"mission:{mission_id}"


def of_person(user_id: int) -> str:
    """The subject of all missions that a person starts."""
    return f"person:{user_id}"


def listen(subject: str, wanted: bool = True) -> None:
    """Listen from now on, or no more; the same again changes nothing. Joins the caller's transaction."""
    if wanted:
        Listener.objects.bulk_create([Listener(subject=subject)], ignore_conflicts=True)
    else:
        Listener.objects.filter(pk=subject).delete()
