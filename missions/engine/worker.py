"""A mission worker under one id: its lane, its liveness, and the missions in its memory, hundreds of them.

When a session of it is lost it fences itself: futures never resolve, contexts are poisoned, and the process
(`missions.engine.process`) starts over under a new id, freeing what its old one left like any peer would.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from django.conf import settings

from missions.engine import crashpoints
from missions.engine.arrays import int8
from missions.engine.attempt import ContextFactory, attempt
from missions.engine.attending import attend
from missions.engine.bell import Bell
from missions.engine.claims import CONTROL, STATEMENTS, Claimed, claim, control_entries
from missions.engine.clock import Estimate
from missions.engine.delivery import Delivery
from missions.engine.hearing import Hearing
from missions.engine.lane import open_lane
from missions.engine.late import LateAnswers
from missions.engine.leaving import Leaving
from missions.engine.leftovers import Leftovers
from missions.engine.limits import Rules
from missions.engine.liveness import Liveness
from missions.engine.places import Places
from missions.engine.quarantine import Quarantine
from missions.engine.registry import code_for, runnable
from missions.engine.rulebook import Rulebook
from missions.engine.run import Run
from missions.engine.stalls import Stalls
from missions.engine.threads import Threads
from missions.engine.timer import DueTimer
from missions.engine.witness import Witness

logger = logging.getLogger(__name__)
CLAIM_MOST = 64


class Incarnation:
    """A worker under one id, from `open` until it is lost or drained. Implements `missions.engine.run.Owner`."""

    def __init__(
        self, make_context: ContextFactory, threads: Threads, concurrency: int, leftovers: Leftovers,
        quarantine: Quarantine | None, on_idle: Callable[[], None] | None,
    ) -> None:
        self.worker_id = secrets.randbits(63) or 1
        self.draining, self.patience = False, settings.MISSIONS_DRAIN_SECONDS
        self.ended, self.lost = asyncio.Event(), False  # ended: lost, or drained
        self._make_context, self._threads, self._concurrency = make_context, threads, concurrency
        self._leftovers, self._on_idle = leftovers, on_idle  # `on_idle`: this is a quarantine process
        self._clock = Estimate()
        self._runs: dict[int, Run] = {}
        self._steered = 0  # missions with a control, until what it has recorded is read
        self._places = Places(list(runnable()), quarantined=on_idle is not None)
        self._book = Rulebook(threads.patiently, self._ruled)
        self._claiming = self._again = False
        self._timer, self._hearing = DueTimer(self._clock, self._ring), Hearing(self.kick)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._late = LateAnswers(threads)
        self._loop = asyncio.get_running_loop()
        self._delivery = Delivery(self.worker_id, self._runs, self.spawn)
        self._bell = Bell(threads.patiently, self.spawn, self.kick)
        self.liveness = Liveness(
            self.worker_id, lambda: self._places.open, self._clock, on_due=self._due_at, on_hint=self._hinted,
            on_lost=self._lose, on_quarantine=quarantine.needed if quarantine is not None else lambda: None,
            on_frozen=self._frozen, on_place=self._hearing.place, quarantined=on_idle is not None,
        )

    async def open(self, formers: Sequence[int]) -> None:
        """Take the lock of the new id, join the ring, and look for work. Raises psycopg.Error, Refused."""
        self.lane = await open_lane(self.worker_id, self._clock, (*STATEMENTS, "retire"), self._lose)
        self.lane.on_fenced, self.lane.on_refused, self.lane.on_alarm = self._fenced, self._refused, self._bell.ring
        self._claiming = True  # nothing is claimed before the limits are known, and how far the database has come
        await self.liveness.open(self.lane.session.backend_pid, formers)
        self.lane.on_flushed = self.liveness.hints.changed
        self.witness = Witness(self.liveness.aux)
        await self.witness.attest()
        self.spawn(self.witness.keep())
        if self._on_idle is not None and not await self.liveness.reserve():
            self._on_idle()
        self.liveness.on_rules = lambda: self.spawn(self.learn_rules())
        await self.learn_rules()
        self._claiming = False
        self._stalls = Stalls(self._runs.values)
        self.kick()

    # -- What runs ask (Owner) -----------------------------------------------------------------------------------------

    def forget(self, run: Leaving, *, due: bool, wake_at: dt.datetime | None) -> None:
        """The mission has left memory."""
        if self._runs.get(run.claimed.id) is run:
            del self._runs[run.claimed.id]
        if due:
            self.kick() if not self.draining else self.liveness.hints.due()
            return
        self._due_at(wake_at)
        if self._places.freed(run.claimed.type):
            self.liveness.hints.due()
            self.kick()
        if self._again and not self._claiming:
            self.kick()

    def rules(self) -> Rules:
        """The limits and circuits as of their last change."""
        return self._book.rules

    def spares(self) -> bool:
        """Whether fewer missions are in memory than three quarters of what it takes."""
        return len(self._runs) * 4 < self._concurrency * 3

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
        self._late.keep(mission_id, key, evidence)

    # -- Claiming ------------------------------------------------------------------------------------------------------

    async def learn_rules(self) -> None:
        """Read limits, circuits and stops anew, and look for work: a place may have come free."""
        await self._book.learn()
        self.kick()

    def _ruled(self, rules: Rules) -> None:
        self._places.limit(rules.concurrency)
        rules.stops.send_away(*self._runs.values())

    def kick(self) -> None:
        """Look for due missions now."""
        self._again = True
        if not (self._claiming or self.draining or self.lost):
            self._claiming = True
            self.spawn(self._claim())

    async def _claim(self) -> None:
        try:
            while self._again and not self.draining:
                room = min(self._concurrency - len(self._runs) - self._steered, CLAIM_MOST)
                if room <= 0:
                    return  # `_again` stays set: the next mission that leaves memory looks again
                self._again = False
                brought = await claim(self.lane, self.worker_id, room, self._places)
                self._clock.read(brought.now)
                if brought.missions:
                    crashpoints.reach("after_claim")
                for claimed in brought.missions:
                    self._begin(claimed)
                self._delivery.look_again(self.lane)
                self._again = self._again or len(brought.missions) == room
                self._due_at(brought.next_due)
                if self._on_idle is not None and not (self._runs or self._steered or self._again):
                    self._on_idle()
        finally:
            self._claiming = False

    def _begin(self, claimed: Claimed) -> None:
        if claimed.controls:
            self._steered += 1
            self.spawn(self._steer(claimed))
            return
        run = self._runs[claimed.id] = Run(claimed, self.lane, self._clock, self)
        run.quarantined = self._on_idle is not None
        kind = code_for(claimed.type, claimed.version)
        run.own(self.spawn(attempt(run, kind, self._make_context), run))
        self._book.rules.stops.send_away(run)  # it may have been claimed just before

    async def _steer(self, claimed: Claimed) -> None:
        """A control waits: its program runs, and not the author's."""
        mail = claimed.controls[0]
        entries = await control_entries(self.lane, claimed, f"{CONTROL}#{mail.seq}/")
        self._steered -= 1
        run = self._runs[claimed.id] = Run(claimed, self.lane, self._clock, self, control=entries)
        self._delivery.look_again(self.lane)
        run.own(self.spawn(self._make_context.steer(run, mail), run))

    def attend(
        self, run: Leaving, reason: str, detail: str, *, matched_seq: int, differs: dict[str, Any] | None = None
    ) -> None:
        """Pause a mission that can not go on by itself, and let people say what becomes of it."""
        if run.of_control:
            run.pause(reason, detail)
        elif not run.has_left:
            run.parking = True  # nothing of it starts any more
            self.spawn(attend(run, self._threads, reason, detail, matched_seq, differs))

    def _hinted(self, mission: str) -> None:
        """Something may be due (this mission, or any where it is empty), or mail may have come for what runs here."""
        self._hearing.heard(mission)
        if not self.lost:
            self._delivery.look(self.lane)

    # -- Time ----------------------------------------------------------------------------------------------------------

    def _due_at(self, moment: dt.datetime | None) -> None:
        """Something is due at a time (None: nothing is)."""
        if moment is not None and not self.lost:
            self._timer.set(moment)

    def _ring(self) -> None:
        self.kick()
        if not self.lost:
            self._bell.ring()

    # -- The end -------------------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, Any], run: Run | None = None) -> asyncio.Task[Any]:
        """Run a task of the engine, maybe that of a mission; one that fails, or is lost, fences the worker."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._spawned, run))
        return task

    def _spawned(self, run: Run | None, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
        elif run is not None and run.has_left:
            error = None
        else:  # not by us: what it was to do, nobody would do
            error = RuntimeError("a task of the worker was cancelled")
        if isinstance(error, Exception) and not (self.lost or self.ended.is_set()):
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
        self.ended.set()
        self._timer.stop()
        self._hearing.stop()
        await self.liveness.close()
        if hasattr(self, "lane"):
            self.lane.session.close()
        if hasattr(self, "_stalls"):
            self._stalls.stop()
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
            await self.witness.farewell()
            await self.lane.call((b"retire", (int8(self.worker_id),)))
            self.liveness.hints.flush()
            logger.info("The worker has drained", extra={"action": "worker_drained", "put_back": left})
        self.ended.set()
