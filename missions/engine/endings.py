"""Telling those who wait for a mission that it has ended: its parent, its children, and missions to start after it.

The lane writes the alarm `mission.ended:ID` in the transaction that ends the mission (`sql/ended.sql`); any worker
rings it. A handler locks the ended mission first and reads it again: it may have been retried meanwhile, and ends anew.
"""

from __future__ import annotations

import contextlib
import datetime as dt

from missions.engine import alarms, children, dependencies, direction, mailbox
from missions.errors import MissionEnded
from missions.models import Child, Mission, OnParentEnd

ORPHANED = "mission.orphaned"


def child_signal(uid: object) -> str:
    """The name of the signal that tells a parent of its child's end."""
    return f"child:{uid}"


@alarms.handler("mission.ended")
def tell(subject: str, nominal_at: dt.datetime) -> None:
    """Wake all who wait; signals are keyed by the end that they tell of, so that ringing twice tells once."""
    mission = Mission.objects.select_for_update().filter(pk=int(subject)).first()
    if mission is None or not mission.ended:
        return
    wakes = [(waiting, f"mission:{mission.uid}") for waiting in dependencies.settle(mission)]
    if mission.parent is not None:
        wakes += [(one, child_signal(mission.uid)) for one in (mission.parent, *children.heirs_of(mission.pk))]
    for child_id in Child.objects.filter(parent_id=mission.pk, on_parent_end=OnParentEnd.CANCEL).values_list(
        "child_id", flat=True
    ):  # by an alarm each: a child that ends at this moment locks itself first, then us
        alarms.set_alarm(f"{ORPHANED}:{child_id}", nominal_at)
    for mission_id, name in sorted(wakes):
        with contextlib.suppress(MissionEnded):  # nobody is left to be told
            told = {"mission": str(mission.uid), "state": str(mission.state)}
            mailbox.deliver(mission_id, name, told, key=f"{name}:{mission.head_seq}", sender="engine")


@alarms.handler(ORPHANED)
def end_child(subject: str, nominal_at: dt.datetime) -> None:
    """Cancel a child whose parent has ended and that is not to outlive it."""
    direction.direct(int(subject), "cancel", reason="Its parent has ended.", key=f"orphaned:{nominal_at.isoformat()}")
