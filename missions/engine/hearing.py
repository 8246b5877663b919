"""Which worker looks first when a hint names a mission: one at once, the others a moment later.

Only one can claim it. If all looked at once, the others would look in vain, and just when the first wants the
processors. Nothing depends on the first one's being there, having room, or knowing the type: each looks in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LATER_SECONDS = 0.01  # a claim takes a few milliseconds; what nobody took by then is for whoever comes


class Hearing:
    """One worker's part in it. `look` is called for each hint, or once for several. For the event loop only."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._place, self._of = 0, 1
        self._handle: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def place(self, place: int, of: int) -> None:
        """This worker's place, from 0, among those that live. Where that is out of date, two look first, or none."""
        self._place, self._of = place, of

    def heard(self, mission: str) -> None:
        """A hint has come; it names a mission by its id, or says nothing: then all look at once."""
        if not mission.isdecimal() or int(mission) % self._of == self._place:
            self._look()
        elif self._handle is None:
            self._handle = self._loop.call_later(LATER_SECONDS, self._looks)

    def _looks(self) -> None:
        self._handle = None
        self._look()

    def stop(self) -> None:
        """Look for nothing more."""
        if self._handle is not None:
            self._handle.cancel()
