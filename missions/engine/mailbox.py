"""The mailbox: how the outside reaches a mission. Owns `deliver`, the only way to make a parked mission due.

Synchronous, on the caller's Django connection and in the caller's transaction.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Least

from missions.engine import codec, feed
from missions.errors import MissionEnded, UnknownMission
from missions.models import Mission, Signal, State
from missions.models.fields import DatabaseNow


@transaction.atomic
def deliver(mission_id: int, name: str, payload: dict[str, Any], *, key: str | None = None, sender: str = "") -> bool:
    """Store a signal and make the mission due; True, or False where `key` was delivered before (nothing changes).

    Locks the mission row first and must be the last statement of the caller's transaction (docs/locking.md). A signal
    that comes before the mission waits is kept until it does.
    Raises UnknownMission, MissionEnded, Unserialisable, PayloadTooLarge.
    """
    body = codec.dump(payload, limit=codec.INPUT_BYTES)
    mission = Mission.objects.select_for_update().filter(pk=mission_id).only("state", "inbox_seq", "waits_for").first()
    if mission is None:
        raise UnknownMission
    if key is not None and Signal.objects.filter(mission_id=mission_id, key=key).exists():
        return False
    if mission.ended:
        raise MissionEnded(f"The mission is {mission.state}; nothing was delivered.", state=mission.state)
    seq = mission.inbox_seq + 1
    Signal.objects.create(mission_id=mission_id, seq=seq, name=name, payload=body, key=key, sender=sender)
    changes: dict[str, Any] = {"inbox_seq": seq}
    if mission.state != State.PAUSED or mission.waits_for:  # a paused one that waits for nobody takes its mail later
        changes["wake_at"] = Least(Coalesce(F("wake_at"), DatabaseNow()), DatabaseNow())
    Mission.objects.filter(pk=mission_id).update(**changes)
    feed.announce(f"m{mission_id}")
    feed.announce_due()
    return True
