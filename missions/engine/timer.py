"""The one timer of a worker: it holds the earliest time at which something is due, and rings once."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable

from missions.engine.clock import Estimate

STILL_DUE_SECONDS = 0.25  # what is due and can not be had (its row is held, its alarm fails) is not asked for in a loop


class DueTimer:
    """Set it with every time that is heard of; the earliest counts."""

    def __init__(self, clock: Estimate, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._handle: asyncio.TimerHandle | None = None
        self._at = 0.0
        self._rang_for = 0.0  # the latest moment that it has rung for
        self._loop = asyncio.get_running_loop()

    def set(self, moment: dt.datetime) -> None:
        """Something is due at this time on the database's clock."""
        at, now = moment.timestamp(), self._clock.seconds()
        at = max(at, now + STILL_DUE_SECONDS) if at <= self._rang_for else at
        rings_at = self._loop.time() + max(0.0, at - now)
        # Compared as rings: the clock may have moved since the timer was set, as it does while a machine sleeps.
        if self._handle is not None and self._handle.when() <= rings_at:
            return
        self.stop()
        self._at = at
        self._handle = self._loop.call_at(rings_at, self._rings)

    def stop(self) -> None:
        """Forget what was set."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None

    def _rings(self) -> None:
        self._rang_for = max(self._rang_for, self._at)
        self._handle = None
        self._ring()
