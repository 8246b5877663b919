"""The process of a mission worker: one incarnation after another, its quarantine process, and what a fence left behind.

Whatever loses an incarnation ends nothing else: the next one opens as soon as the database lets it. Knows nothing of
missions; `missions.engine.worker` runs them.
"""

from __future__ import annotations

import asyncio
import logging

import psycopg
from django.conf import settings

from missions.engine.attempt import ContextFactory
from missions.engine.leftovers import Leftovers
from missions.engine.quarantine import Quarantine
from missions.engine.session import Refused
from missions.engine.threads import Threads
from missions.engine.watchdog import Watchdog
from missions.engine.worker import Incarnation

logger = logging.getLogger(__name__)
AWAY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Worker:
    """The process: one incarnation after another until it is told to stop.

    `quarantine` starts a process for missions in quarantine; `quarantined`: this is such a process; idle, it leaves.
    `overdue` tells in the end that the process must leave since work of a fenced incarnation does not end.
    """

    def __init__(
        self, make_context: ContextFactory, concurrency: int, *, quarantine: Quarantine | None = None,
        quarantined: bool = False,
    ) -> None:
        self._make_context, self._concurrency = make_context, concurrency
        self._quarantine, self._quarantined = quarantine, quarantined
        self._leftovers = Leftovers(self._leave)
        self._threads = Threads(min(32, 4 + concurrency // 16), self._leftovers.thread)
        self._formers: list[int] = []  # ids that were fenced and are not made good yet
        self.overdue = False
        self._stopping = asyncio.Event()
        self.incarnation: Incarnation | None = None

    def stop(self) -> None:
        """Begin a clean exit."""
        self._stopping.set()

    def settle(self) -> None:
        """Wait for verbs of ours that still write, once `run` has ended: for tests, whose process does not end then."""
        self._threads.settle()

    def _leave(self) -> None:
        self.overdue = True
        self.stop()

    async def run(self) -> None:
        """Serve until `stop`."""
        failures = 0
        watchdog = Watchdog(settings.MISSIONS_HUNG_SECONDS / 2)
        watchdog.start()
        while not self._stopping.is_set():
            stalls = watchdog.stalls
            current = self.incarnation = self._incarnate()
            try:
                if await self._opened(current):
                    self._formers.clear()
                    failures, facts = 0, {"action": "worker_ready", "worker": f"{current.worker_id:x}"}
                    logger.info("A worker is ready", extra=facts)
                    await self._serve(current)
            except (psycopg.Error, Refused, OSError) as error:
                failures, facts = failures + 1, {"action": "worker_waits", "why": str(error).strip()[:300]}
                logger.warning("The database is away; the worker waits", extra=facts)
            finally:
                await current.close()
                if current.lost and watchdog.stalls == stalls:  # else a mission may have been at fault
                    self._formers.append(current.worker_id)
            if not self._stopping.is_set():
                await asyncio.sleep(AWAY_SECONDS[min(failures, 5)])
        watchdog.stop()
        if self._quarantine is not None:
            await self._quarantine.close()
        self._threads.close()

    def _incarnate(self) -> Incarnation:
        on_idle = self.stop if self._quarantined else None
        return Incarnation(
            self._make_context, self._threads, self._concurrency, self._leftovers, self._quarantine, on_idle
        )

    async def _opened(self, current: Incarnation) -> bool:
        """Open an incarnation; False where it was lost meanwhile, since what it waited for then never comes."""
        opening, ended = asyncio.create_task(current.open(self._formers)), asyncio.create_task(current.ended.wait())
        await asyncio.wait({opening, ended}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if opened := opening.done():
                opening.result()
        finally:
            for task in (opening, ended):
                task.cancel()
        return opened

    async def _serve(self, current: Incarnation) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        ended = asyncio.create_task(current.ended.wait())
        await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
        if self._stopping.is_set() and not current.lost:
            draining = asyncio.create_task(current.drain(settings.MISSIONS_DRAIN_SECONDS))
            # A session that is lost meanwhile answers no more: whoever comes next frees what was not put back.
            await asyncio.wait({draining, ended}, return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                draining.result()
            draining.cancel()
        for task in (stopping, ended):
            task.cancel()
