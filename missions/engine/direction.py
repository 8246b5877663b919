"""Controls that the engine itself asks for: a deadline that has passed, a child that is not to outlive its parent."""

from __future__ import annotations

import contextlib

from missions.engine import controls
from missions.errors import ControlRefused

BY = "Standfast"


def direct(mission_id: int, verb: str, *, reason: str, key: str) -> None:
    """Put a control in a mission's mailbox, once a key; nothing where it has ended. In the caller's transaction."""
    with contextlib.suppress(ControlRefused):  # there is nothing left to direct
        controls.request(mission_id, verb, reason=reason, by=BY, key=f"control:{key}")
