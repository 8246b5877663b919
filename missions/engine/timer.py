"""The one timer of a worker: it holds the earliest time at which something is due, and rings once. And its bell."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine
from typing import Any

from missions.engine import alarms
from missions.engine.clock import Estimate
from missions.engine.threads import Threads

STILL_DUE_SECONDS = 0.25  # what is due and can not be had (its row is held, its alarm fails) is not asked for in a loop


class DueTimer:
    """Set it with every time that is heard of; the earliest counts."""

    def __init__(self, clock: Estimate, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._handle: asyncio.TimerHandle | None = None
        self._at: float | None = None
        self._rang_for = 0.0  # the latest moment that it has rung for
        self._loop = asyncio.get_running_loop()

    def set(self, moment: dt.datetime) -> None:
        """Something is due at this time on the database's clock."""
        at, now = moment.timestamp(), self._clock.seconds()
        at = max(at, now + STILL_DUE_SECONDS) if at <= self._rang_for else at
        if self._handle is not None and self._at is not None and self._at <= at:
            return
        self.stop()
        self._at = at
        self._handle = self._loop.call_later(max(0.0, at - now), self._rings)

    def stop(self) -> None:
        """Forget what was set."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None

    def _rings(self) -> None:
        self._rang_for = max(self._rang_for, self._at or 0.0)
        self._handle = self._at = None
        self._ring()


class Bell:
    """Rings the alarms that are due, one round at a time."""

    def __init__(
        self, threads: Threads, spawn: Callable[[Coroutine[Any, Any, None]], object], *, rung: Callable[[], None]
    ) -> None:
        self._threads, self._spawn, self._rung = threads, spawn, rung
        self._ringing = False

    def ring(self) -> None:
        """Ring them; `rung` is called where there were any."""
        if not self._ringing:
            self._ringing = True
            self._spawn(self._ring())

    async def _ring(self) -> None:
        try:
            count = await self._threads.patiently(alarms.ring_due)
        finally:
            self._ringing = False
        if count:
            self._rung()
