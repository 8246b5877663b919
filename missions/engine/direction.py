"""Controls that the engine itself asks for: a deadline that has passed, a child that is not to outlive its parent."""

from __future__ import annotations

import contextlib

from missions.engine import mailbox
from missions.errors import MissionEnded
from missions.models import Mission, Signal

CONTROL = "control"


def direct(mission_id: int, verb: str, *, reason: str, key: str) -> None:
    """Put a control in a mission's mailbox, once a key; nothing where it has ended. In the caller's transaction."""
    told = {"verb": verb, "reason": reason, "by": "Standfast"}
    full_key = f"{CONTROL}:{key}"
    with contextlib.suppress(MissionEnded):  # there is nothing left to direct
        if mailbox.deliver(mission_id, CONTROL, told, key=full_key, sender="engine"):
            signal = Signal.objects.only("seq").get(mission_id=mission_id, key=full_key)
            Mission.objects.filter(pk=mission_id).update(control_seq=signal.seq)
