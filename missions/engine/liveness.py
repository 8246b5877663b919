"""Liveness, not leases: who lives, who died, and what becomes of the missions of the dead.

A worker lives as long as its lane's session holds the advisory lock of its id. Peers wait for each other's lock in a
ring and learn of a death in milliseconds; whoever gets the lock frees the missions. A worker that hangs keeps its
session, so its heartbeat is watched as well, by peers whose own heartbeats were on time throughout.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from django.conf import settings

from missions.engine import crashpoints, feed
from missions.engine.arrays import TRUE, boolean, int4, int8, read_int, read_int8s
from missions.engine.claims import moment_of
from missions.engine.clock import Estimate
from missions.engine.hints import Hints
from missions.engine.hosts import QUARANTINE, STARTER, Identity, end_process, identity
from missions.engine.places import Pair, known_types
from missions.engine.session import Refused, open_session
from missions.engine.statements import statement
from missions.engine.witness import STATEMENTS as WITNESS
from missions.errors import PooledConnection

logger = logging.getLogger(__name__)
RING = "standfast_ring"  # a worker has come: look who is next
AUX = ("register", "heartbeat", "notify", "holders", "terminate", "quarantine_lock", "survive", "forgive", *WITNESS)
RING_STATEMENTS = ("peers", "orphans", "await_death", "try_death", "release_death", "bury")
# Heartbeats and hints need not survive a crash of the server, and a flush for each would hold up the lane's. Whatever
# names this worker is flushed later, and its registration with it.
AUX_SETUP = ("set synchronous_commit = off", "set enable_seqscan = off", "set jit = off")
RING_WAIT = "20s"  # whoever waits for a lock holds back vacuum, so not for ever


class Liveness:
    """One worker's part in the ring, and its heartbeat. `on_lost` is called at most once."""

    def __init__(
        self, worker_id: int, types: Callable[[], Iterable[Pair]], clock: Estimate, *,
        on_due: Callable[[dt.datetime | None], None], on_hint: Callable[[str], None],
        on_lost: Callable[[BaseException], None], on_quarantine: Callable[[], None] = lambda: None,
        on_frozen: Callable[[], None] = lambda: None,
        on_place: Callable[[int, int], None] = lambda place, of: None, quarantined: bool = False,
    ) -> None:
        self.worker_id, self._clock = worker_id, clock
        self._types = types
        self._on_due, self._on_hint, self._on_lost = on_due, on_hint, on_lost
        self.on_rules: Callable[[], object] = lambda: None
        self._on_quarantine, self._on_frozen, self._quarantined = on_quarantine, on_frozen, quarantined
        self._on_place = on_place
        self._next_peer: int | None = None
        self._watched: int | None = None
        self._ring_changed = asyncio.Event()
        self._beat_now = asyncio.Event()
        self._steady_since = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, backend_pid: int, formers: Sequence[int] = ()) -> None:
        """Connect, make this worker known, free what the dead left, and watch. Raises psycopg.Error, Refused, OSError.

        `formers` are earlier ids of this process, whose end was no mission's fault.
        """
        listen = [*AUX_SETUP, *(f"listen {channel}" for channel in (feed.DUE, feed.RULES, RING))]
        me = f"{self.worker_id:x}"
        self.aux = await open_session(
            f"standfast aux {me}", statements={name: statement(name) for name in AUX}, setup=listen,
            on_lost=self._on_lost,
        )
        self.aux.on_notify = self._notified
        self.ring = await open_session(
            f"standfast ring {me}", statements={name: statement(name) for name in RING_STATEMENTS},
            setup=[f"set lock_timeout = '{RING_WAIT}'", "set client_connection_check_interval = '1s'"],
            on_lost=self._on_lost,
        )
        self.hints = Hints(self.aux)
        await self._register(identity(), backend_pid)
        await self._refuse_pooler(backend_pid)
        for former in formers:  # two transactions: the second sees what the first one waited for
            await self.aux.call((b"survive", (int8(former),)))
            await self.aux.call((b"forgive", (int8(former),)))
        await self._sweep()
        self._tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._watch())]
        for task in self._tasks:
            task.add_done_callback(self._stopped)

    async def reserve(self) -> bool:
        """Become this host's quarantine process; False where another one is."""
        return await self._first_here(QUARANTINE)

    async def _first_here(self, role: int) -> bool:
        """Take a role that one session of this host may have; it keeps it until it ends."""
        answer = (await self.aux.call((b"quarantine_lock", (int4(role), identity().host.encode()))))[0]
        return answer.get_value(0, 0) == TRUE

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """A worker without a heart or without a watch does harm: it starts over."""
        error = RuntimeError("its task was cancelled") if task.cancelled() else task.exception()
        if error is not None:
            self._on_lost(error)  # which knows when it is we who end it

    async def _register(self, me: Identity, backend_pid: int) -> None:
        await self.aux.call((b"register", (
            int8(self.worker_id), me.host.encode(), me.boot_id.encode(), int4(me.pid), int8(me.pid_started),
            int4(backend_pid),
        )))
        await self.aux.call((b"notify", (RING.encode(), b"")))

    async def _refuse_pooler(self, backend_pid: int) -> None:
        """The lane's lock must be held by the very session that commits; a pooler in transaction mode breaks that."""
        found = (await self.aux.call((b"holders", (int8(self.worker_id),))))[0]
        holders = [read_int(found.get_value(row, 4) or b"") for row in range(found.ntuples)]
        if not holders:  # the server has restarted since the lane was opened
            raise ConnectionError("the lane's session has ended")
        if holders != [backend_pid]:
            raise PooledConnection

    async def close(self) -> None:
        """Stop watching and end the sessions."""
        for task in self._tasks:
            task.cancel()
        for name in ("aux", "ring"):
            session = getattr(self, name, None)
            if session is not None:
                session.close()

    def _notified(self, channel: str, payload: str) -> None:
        if channel == RING:
            self._beat_now.set()
        elif channel == feed.RULES:
            self.on_rules()
        else:
            self._on_hint(payload)

    # -- The heartbeat -------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        hung = settings.MISSIONS_HUNG_SECONDS
        while True:
            asked_at = time.monotonic()
            names, versions = known_types(self._types())
            call = (int8(self.worker_id), names, int8(int(hung * 1_000_000)), versions, boolean(self._quarantined))
            answer = (await self.aux.call((b"heartbeat", call)))[0]
            if not answer.ntuples:
                self._on_lost(RuntimeError("this worker was declared dead"))
                return
            if time.monotonic() - asked_at > hung / 2:  # a worker that was late itself judges nobody
                self._steady_since = time.monotonic()
            upcoming, stale, peer, quarantine, frozen, place = (answer.get_value(0, column) for column in range(1, 7))
            self._on_place(*read_int8s(place or b""))
            self._clock.read(moment_of(answer.get_value(0, 0) or b""))
            self._on_due(moment_of(upcoming) if upcoming else None)
            self._meet(read_int(peer) if peer else None)
            # A process takes seconds to start: each worker of the host starting one would take them from the missions.
            if quarantine == TRUE and await self._first_here(STARTER):
                self._on_quarantine()
            if frozen == TRUE:
                self._on_frozen()
            if stale and time.monotonic() - self._steady_since > hung:
                await self._end_hung(read_int8s(stale))
            slept_at = time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._beat_now.wait(), settings.MISSIONS_HEARTBEAT_SECONDS)
            self._beat_now.clear()
            if time.monotonic() - slept_at > settings.MISSIONS_HEARTBEAT_SECONDS + hung / 2:
                self._steady_since = time.monotonic()

    def _meet(self, peer: int | None) -> None:
        """The ring's next worker may be another one now: leave the wait for the former."""
        if peer == self._next_peer:
            return
        self._next_peer = peer
        self._ring_changed.set()
        if self._watched is not None:
            self._tasks[:] = [task for task in self._tasks if not task.done()]
            self._tasks.append(asyncio.create_task(asyncio.to_thread(self.ring.cancel)))

    async def _end_hung(self, workers: Sequence[int]) -> None:
        """End the processes and sessions of workers whose heart stopped; their locks are free then."""
        for worker in workers:
            found = (await self.aux.call((b"holders", (int8(worker),))))[0]
            for row in range(found.ntuples):
                host, boot, pid, started, backend = (found.get_value(row, column) for column in range(5))
                other = Identity(
                    (host or b"").decode(), (boot or b"").decode(), read_int(pid or b""), read_int(started or b"")
                )
                killed = end_process(other)
                if backend:
                    await self.aux.call((b"terminate", (int4(read_int(backend)),)))
                facts = {"action": "worker_hung", "worker": f"{worker:x}", "killed": killed}
                logger.warning("A worker's heart stopped; it was ended", extra=facts)
            self._beat_now.set()

    # -- The ring ------------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            self._ring_changed.clear()
            peer = self._next_peer
            if peer is None:
                await self._ring_changed.wait()
                continue
            self._watched = peer
            try:
                await self.ring.call((b"await_death", (int8(peer),)))
            except Refused:  # the bounded wait is over, or the ring has changed
                continue
            finally:
                self._watched = None
            await self._bury(peer)
            self._next_peer = None
            self._beat_now.set()
            await self._ring_changed.wait()

    async def _bury(self, worker: int) -> None:
        """Free the missions of a dead worker, whose lock the ring session holds."""
        while True:
            try:
                freed = (await self.ring.call((b"bury", (int8(worker), int8(self.worker_id)))))[0]
                crashpoints.reach("after_takeover")
                await self.ring.call((b"release_death", (int8(worker),)))
                break
            except Refused as error:
                why = {"action": "takeover_again", "why": str(error)}
                logger.warning("A takeover was aborted; trying again", extra=why)
                await asyncio.sleep(0.05)
        missions = [read_int(freed.get_value(row, 0) or b"") for row in range(freed.ntuples)]
        facts = {"action": "worker_lost", "worker": f"{worker:x}", "missions": len(missions)}
        logger.warning("A worker has died; its missions are free", extra=facts)
        self.hints.changed(missions)
        self.hints.due()
        self._on_hint("")

    async def _sweep(self) -> None:
        """At the start: whoever is registered but holds no lock is dead, and so is any other owner of a mission."""
        peers, orphans = await self.ring.call((b"peers", (int8(self.worker_id),)), (b"orphans", ()))
        found = [(result, row) for result in (peers, orphans) for row in range(result.ntuples)]
        for worker in dict.fromkeys(read_int(result.get_value(row, 0) or b"") for result, row in found):
            answer = (await self.ring.call((b"try_death", (int8(worker),))))[0]
            if answer.get_value(0, 0) == b"\x01":
                await self._bury(worker)
