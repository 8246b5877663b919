"""A worker's bell: rings the alarms that are due in a thread, one look at a time.

Must not decide when: the worker's timer and its lane say so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from missions.engine import alarms


class Bell:
    """`ring` may come at any time on the worker's loop; what comes while it rings is answered by one more look."""

    def __init__(
        self, in_database: Callable[..., Awaitable[Any]], spawn: Callable[[Any], Any], on_rung: Callable[[], None]
    ) -> None:
        self._in_database, self._spawn, self._on_rung = in_database, spawn, on_rung
        self._ringing = self._again = False

    def ring(self) -> None:
        """Something may be due now."""
        self._again = True
        if not self._ringing:
            self._ringing = True
            self._spawn(self._look())

    async def _look(self) -> None:
        rung = 0
        try:
            while self._again:
                self._again = False
                rung += await self._in_database(alarms.ring_due)
        finally:
            self._ringing = False
        if rung:
            self._on_rung()  # which also learns when the next is due
