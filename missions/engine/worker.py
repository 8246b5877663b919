"""A mission worker: one process, one event loop, hundreds of missions.

An `Incarnation` is the worker under one id: its lane, its liveness, and the missions in its memory. When a session of
it is lost it fences itself: futures never resolve, contexts are poisoned, and the worker starts over under a new id,
freeing what its old one left like any peer would.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from django.conf import settings

from missions.engine import alarms, crashpoints, mailbox
from missions.engine.arrays import int8
from missions.engine.attempt import ContextFactory, attempt
from missions.engine.claims import STATEMENTS, Claimed, claim, mail_of
from missions.engine.clock import Estimate
from missions.engine.lane import open_lane
from missions.engine.leftovers import Leftovers
from missions.engine.liveness import Liveness
from missions.engine.quarantine import Quarantine
from missions.engine.registry import all_types, get_type
from missions.engine.run import Run
from missions.engine.session import Refused
from missions.engine.threads import Threads
from missions.engine.watchdog import Watchdog
from missions.engine.witness import Witness
from missions.errors import StandfastError

logger = logging.getLogger(__name__)
CLAIM_MOST = 64
AWAY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
STILL_DUE_SECONDS = 0.25  # what is due and can not be had (its row is held, its alarm fails) is not asked for in a loop


class Incarnation:
    """A worker under one id, from `open` until it is lost or drained. Implements `missions.engine.run.Owner`."""

    def __init__(
        self, make_context: ContextFactory, threads: Threads, concurrency: int, leftovers: Leftovers,
        quarantine: Quarantine | None, on_idle: Callable[[], None] | None,
    ) -> None:
        self.worker_id = secrets.randbits(63) or 1
        self.draining = False
        self.ended = asyncio.Event()  # lost, or drained
        self.lost = False
        self._make_context, self._threads, self._concurrency = make_context, threads, concurrency
        self._leftovers, self._on_idle = leftovers, on_idle  # `on_idle`: this is a quarantine process
        self._clock = Estimate()
        self._runs: dict[int, Run] = {}
        self._types = [kind.name for kind in all_types()]
        self._claiming = self._again = self._ringing = self._fetching = self._mail = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._rang_for = 0.0  # the latest moment that the timer has rung for
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reports: set[asyncio.Task[Any]] = set()  # evidence outlives the incarnation that it was fenced with
        self._loop = asyncio.get_running_loop()
        self.liveness = Liveness(
            self.worker_id, self._types, self._clock, on_due=self._due_at, on_hint=self._hinted, on_lost=self._lose,
            on_quarantine=quarantine.needed if quarantine is not None else lambda: None, on_frozen=self._frozen,
            quarantined=on_idle is not None,
        )

    async def open(self, formers: Sequence[int]) -> None:
        """Take the lock of the new id, join the ring, and look for work. Raises psycopg.Error, Refused."""
        self.lane = await open_lane(self.worker_id, self._clock, (*STATEMENTS, "retire"), self._lose)
        self.lane.on_fenced, self.lane.on_refused = self._fenced, self._refused
        await self.liveness.open(self.lane.session.backend_pid, formers)
        self.lane.on_flushed = self.liveness.hints.changed
        self.witness = Witness(self.liveness.aux)
        await self.witness.attest()  # before anything is claimed
        self._spawn(self.witness.keep())
        if self._on_idle is not None and not await self.liveness.reserve():
            self._on_idle()
        self.kick()

    # -- What runs ask (Owner) -----------------------------------------------------------------------------------------

    def forget(self, run: Run, *, due: bool, wake_at: dt.datetime | None) -> None:
        """The mission has left memory."""
        if self._runs.get(run.claimed.id) is run:
            del self._runs[run.claimed.id]
        if due:
            self.kick() if not self.draining else self.liveness.hints.due()
            return
        self._due_at(wake_at)
        if self._again and not self._claiming:
            self.kick()

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run the author's synchronous code, once."""
        return await self._threads.once(function, *args)

    def calling(self, task: asyncio.Task[Any], seconds: float) -> None:
        """A call is under way, until its deadline in so many seconds."""
        self._leftovers.call(task, seconds)

    async def in_database(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a verb of our own; a database that is away is waited for."""
        return await self._threads.patiently(function, *args)

    def report_late(self, mission_id: int, key: str, evidence: dict[str, Any]) -> None:
        """Keep the late answer of a call in its mission's mailbox."""
        self._reports.add(task := self._loop.create_task(self._report(mission_id, key, evidence)))
        task.add_done_callback(self._reports.discard)

    async def _report(self, mission_id: int, key: str, evidence: dict[str, Any]) -> None:
        def deliver() -> bool:
            return mailbox.deliver(mission_id, f"effect:{key}", evidence, key=f"effect:{key}", sender="late answer")

        try:
            await self._threads.patiently(deliver)
        except StandfastError as error:
            facts = {"action": "late_answer_dropped", "mission": mission_id, "why": str(error)}
            logger.warning("A late answer found no mission", extra=facts)

    # -- Claiming ------------------------------------------------------------------------------------------------------

    def kick(self) -> None:
        """Look for due missions now."""
        self._again = True
        if not (self._claiming or self.draining or self.lost):
            self._claiming = True
            self._spawn(self._claim())

    async def _claim(self) -> None:
        try:
            while self._again and not self.draining:
                room = min(self._concurrency - len(self._runs), CLAIM_MOST)
                if room <= 0:
                    return  # `_again` stays set: the next mission that leaves memory looks again
                self._again = False
                brought = await claim(
                    self.lane, self.worker_id, room, self._types, quarantined=self._on_idle is not None
                )
                self._clock.read(brought.now)
                if brought.missions:
                    crashpoints.reach("after_claim")
                for claimed in brought.missions:
                    self._begin(claimed)
                self._again = self._again or len(brought.missions) == room
                self._due_at(brought.next_due)
                if self._on_idle is not None and not self._runs and not self._again:
                    self._on_idle()
        finally:
            self._claiming = False

    def _begin(self, claimed: Claimed) -> None:
        run = self._runs[claimed.id] = Run(claimed, self.lane, self._clock, self)
        run.own(self._spawn(attempt(run, get_type(claimed.type), self._make_context)))

    def _hinted(self) -> None:
        """Something may be due, or mail may have come for what runs here."""
        self.kick()
        self._mail = True
        if self._runs and not (self._fetching or self.lost):
            self._fetching = True
            self._spawn(self._take_mail())

    async def _take_mail(self) -> None:
        """Signals for missions that run here right now; hints that come meanwhile are answered by one more look."""
        while self._mail:
            self._mail = False
            (answer,) = await self.lane.call((b"new_mail", (int8(self.worker_id),)))
            for mission_id, mail in mail_of(answer):
                if mission_id in self._runs:
                    self._runs[mission_id].receive(mail)
        self._fetching = False

    # -- Time ----------------------------------------------------------------------------------------------------------

    def _due_at(self, moment: dt.datetime | None) -> None:
        """Something is due at a time (None: nothing is): one timer holds the earliest."""
        if moment is None or self.lost:
            return
        at, now = moment.timestamp(), self._clock.seconds()
        at = max(at, now + STILL_DUE_SECONDS) if at <= self._rang_for else at
        if self._timer is not None and self._timer_at is not None and self._timer_at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(0.0, at - now), self._ring)

    def _ring(self) -> None:
        self._rang_for = max(self._rang_for, self._timer_at or 0.0)
        self._timer = self._timer_at = None
        self.kick()
        if not self._ringing and not self.lost:
            self._ringing = True
            self._spawn(self._ring_alarms())

    async def _ring_alarms(self) -> None:
        try:
            rung = await self._threads.patiently(alarms.ring_due)
        finally:
            self._ringing = False
        if rung:
            self.kick()  # which also learns when the next is due

    # -- The end -------------------------------------------------------------------------------------------------------

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)
        return task

    def _spawned(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and not self.lost:
            logger.error("A worker's task failed", exc_info=error, extra={"action": "worker_task_failed"})
            self._lose(error)

    def _fenced(self, mission_id: int, attempt: int) -> None:
        run = self._runs.get(mission_id)
        if run is not None and run.head.attempt == attempt:
            logger.warning("A mission was fenced", extra={"action": "mission_fenced", "mission": mission_id})
            run.poison()
            del self._runs[mission_id]

    def _refused(self, mission_id: int, reason: str) -> None:
        run = self._runs.get(mission_id)
        if run is not None:
            run.refused(reason)

    def _lose(self, error: BaseException) -> None:
        """Fence ourselves: nothing of this incarnation goes on."""
        if self.lost or self.ended.is_set():
            return
        self.lost = True
        logger.warning("The worker fences itself", extra={"action": "worker_fenced", "why": str(error).strip()[:300]})
        for run in list(self._runs.values()):
            run.poison()
        self._runs.clear()
        self._leftovers.fenced()
        self.ended.set()

    def _frozen(self) -> None:
        """Somebody found that the database has lost something: what runs here stops as well."""
        if self._runs:
            self._lose(RuntimeError("the installation is frozen"))

    async def close(self) -> None:
        """End the sessions and the tasks of this incarnation."""
        if self._timer is not None:
            self._timer.cancel()
        await self.liveness.close()
        if hasattr(self, "lane"):
            self.lane.session.close()
        for task in list(self._tasks):
            task.cancel()

    async def drain(self, seconds: float) -> None:
        """Start nothing fresh, let what runs come to its next record, put the missions back, and go."""
        self.draining = True
        end = self._loop.time() + seconds
        while (self._runs or not self.lane.idle) and self._loop.time() < end and not self.lost:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if not self.lost:
            left = len(self._runs)
            for run in list(self._runs.values()):
                run.poison()
            await self.witness.attest()
            await self.lane.call((b"retire", (int8(self.worker_id),)))
            self.liveness.hints.due()
            facts = {"action": "worker_drained", "put_back": left}
            logger.info("The worker has drained", extra=facts)
        self.ended.set()


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
            draining.cancel()
        for task in (stopping, ended):
            task.cancel()
