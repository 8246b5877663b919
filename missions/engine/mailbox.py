"""The mailbox: how the outside reaches a mission. Owns `deliver`, the only way to make a parked mission due.

Synchronous, on the caller's Django connection and in the caller's transaction.
"""

from __future__ import annotations

from typing import Any

from missions.engine import codec, feed, prepared
from missions.errors import MissionEnded, UnknownMission
from missions.models import Signal


def deliver(mission_id: int, name: str, payload: dict[str, Any], *, key: str | None = None, sender: str = "") -> bool:
    """Store a signal and make the mission due; True, or False where `key` was delivered before (nothing changes).

    Locks the mission row first and must be the last statement of the caller's transaction (docs/locking.md). A signal
    that comes before the mission waits is kept until it does.
    Raises UnknownMission, MissionEnded, Unserialisable, PayloadTooLarge.
    """
    body = codec.dump(payload, limit=codec.INPUT_BYTES)
    row = prepared.row("deliver", [mission_id, name, body, key, sender, feed.FEED, feed.DUE])
    if row is None:
        raise UnknownMission
    state, seq, *_ = row
    if seq is None and not (key is not None and Signal.objects.filter(mission_id=mission_id, key=key).exists()):
        raise MissionEnded(f"The mission is {state}; nothing was delivered.", state=state)
    return seq is not None
