"""The lane: group commit and fence in one connection.

Every write that belongs to an attempt goes through here. What accumulated while the previous flush was in flight is
written as one implicit transaction; with nothing in flight a write is flushed at once. Where many missions write, a
batch goes off when half as many writes as in the last one are there: the database writes one half while the missions
of the other half go on. The lane's session holds the
advisory lock of its worker's id, so the session that commits is the proof of life: no commit of a dead worker can
follow its takeover.

Promises: a future resolves only after its commit. A fenced mission's futures never resolve; its owner is told through
`on_fenced`. If the session is lost, or the outcome of a commit is unknown, no future resolves and `on_lost` is called
once: the worker fences itself. A row that the database refuses stops its own mission (`on_refused`) and nobody else's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from psycopg.pq.abc import PGresult

from missions.engine import chain, crashpoints
from missions.engine.arrays import int8s, read_int
from missions.engine.clock import Estimate
from missions.engine.session import Call, Refused, Session, open_session, refusal
from missions.engine.statements import statement
from missions.engine.writes import Batch, Head, Write
from missions.errors import Suspended

logger = logging.getLogger(__name__)
LEAST_WRITES = 32  # fewer are not worth a transaction of their own
BATCH_ROWS, BATCH_BYTES = 512, 4 * 1024 * 1024
AGAIN_SECONDS = 0.002  # a skipped row is held for the length of somebody's short transaction
# Known aborts: nothing was written and nothing is wrong with the rows (serialisation, deadlock, lock, cancelled,
# disk full, out of memory, too many connections, configured limit).
TRANSIENT = ("40001", "40P01", "55P03", "57014", "53100", "53200", "53300", "53400")
REFUSALS = ("22", "23", "54", "P0")  # the rows themselves: data, constraints, program limits, a trigger's exception
TRANSIENT_SECONDS = 0.05
STATEMENTS = (
    "append", "append_one", "fence", "release", "outcome", "ended", "turn", "reopen", "payload_store", "effect_open",
    "effect_settle", "charge_settle", "timeline_open", "artifact_keep", "blob_use", "progress_keep", "progress_drop",
    "progress_load", "engaged",
)
SETUP = (
    "set plan_cache_mode = force_generic_plan",
    "set enable_seqscan = off",  # all is looked up by key; fresh tables have no statistics to tell the planner so
    "set synchronous_commit = on",
    "set jit = off",
    "set default_transaction_isolation = 'read committed'",
)


class Lane:
    """A worker's only way to write. Use it from its event loop only."""

    def __init__(self, session: Session, clock: Estimate) -> None:
        self.session, self.clock = session, clock
        self.on_fenced: Callable[[int, int], None] = lambda mission_id, attempt: None
        self.on_refused: Callable[[int, str], None] = lambda mission_id, reason: None
        self.on_flushed: Callable[[set[int]], None] = lambda mission_ids: None
        self.on_alarm: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._pending: deque[Write] = deque()
        self._calls: deque[tuple[Sequence[Call], asyncio.Future[list[PGresult]]]] = deque()
        self._alone: deque[list[Write]] = deque()  # parts of a refused batch, each to be tried by itself
        self._busy = self._scheduled = False
        self.batches = self.rows = 0
        self._enough = LEAST_WRITES  # so many writes are worth a batch before all missions have written

    # -- What the engine asks ------------------------------------------------------------------------------------------

    def write(self, write: Write) -> asyncio.Future[int]:
        """Queue a write and return its future: the seq of its last draft, or 1/0 whether a released mission is due."""
        self._pending.append(write)
        if len(self._pending) >= self._enough and not self._busy:
            self._flush()
        else:
            self._schedule()
        return write.future

    def call(self, *calls: Call) -> asyncio.Future[list[PGresult]]:
        """Run statements of their own under one Sync, between batches. The future may raise Refused."""
        future: asyncio.Future[list[PGresult]] = self._loop.create_future()
        self._calls.append((calls, future))
        self._schedule()
        return future

    async def confirm(self, head: Head) -> None:
        """Return only if the mission still has this attempt, else raise Suspended."""
        try:
            answer = (await self.call((b"fence", (int8s([head.mission_id]),))))[0]
        except Refused as error:
            self.session.fail(error)
            raise Suspended from error
        if not answer.ntuples or read_int(answer.get_value(0, 1) or b"") != head.attempt:
            self.on_fenced(head.mission_id, head.attempt)
            raise Suspended

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or in flight."""
        return not (self._busy or self._pending or self._calls or self._alone)

    # -- Flushing ------------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._busy and not self._scheduled and not self.session.lost:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._busy or self.session.lost:
            return
        if self._calls:
            calls, future = self._calls.popleft()
            self._busy = True
            self.session.send(calls, lambda results: self._called(results, future))
        elif self._alone:
            self._start(Batch(self._alone.popleft()))
        elif self._pending:
            self._start(Batch(self._next_writes()))

    def _next_writes(self) -> list[Write]:
        writes: list[Write] = []
        rows = size = 0
        while self._pending and rows < BATCH_ROWS and size < BATCH_BYTES:
            write = self._pending.popleft()
            writes.append(write)
            rows += len(write.drafts) + 1
            size += write.bytes
        return writes

    def _start(self, batch: Batch) -> None:
        self._enough = max(LEAST_WRITES, len(batch.writes) // 2)
        batch.build(int((self.clock.seconds() - chain.EPOCH.timestamp()) * 1_000_000))
        self._send(batch)

    def _send(self, batch: Batch) -> None:
        self._busy = True
        calls = batch.calls()
        self.session.send(calls, lambda results: self._flushed(batch, calls, results))
        crashpoints.reach("mid_flush")

    def _called(self, results: list[PGresult], future: asyncio.Future[list[PGresult]]) -> None:
        self._busy = False
        if not future.done():
            error = refusal(results)
            future.set_exception(error) if error is not None else future.set_result(results)
        self._schedule()

    # -- What came of a batch ------------------------------------------------------------------------------------------

    def _flushed(self, batch: Batch, calls: Sequence[Call], results: list[PGresult]) -> None:
        error = refusal(results)
        if error is not None:
            self._failed(batch, error)
            return
        self._busy = False
        self.batches, self.rows = self.batches + 1, self.rows + batch.rows
        if len(self._pending) >= self._enough:
            self._flush()
        short = bool(batch.rows) and (results[0].command_tuples or 0) != batch.rows
        released: dict[int, bool] = {}
        names = [name for name, _ in calls]
        if any(result.command_tuples for name, result in zip(names, results, strict=True) if name == b"charge_settle"):
            self.on_alarm()  # somebody waits for what was given back
        if any(result.command_tuples for name, result in zip(names, results, strict=True) if name == b"ended"):
            crashpoints.reach("awaited_end")
            self.on_alarm()  # somebody waits for a mission that has ended
        if b"release" in names:
            answer = results[names.index(b"release")]
            for row in range(answer.ntuples):
                released[read_int(answer.get_value(row, 0) or b"")] = answer.get_value(row, 1) == b"\x01"
        unreleased = [w for w in batch.writes if w.release is not None and w.head.mission_id not in released]
        if short or unreleased:
            self._check_fence(batch, released)
        else:
            self._resolve(batch, released, set())
        self._schedule()

    def _resolve(self, batch: Batch, released: dict[int, bool], fenced: set[tuple[int, int]]) -> None:
        for write, seq in zip(batch.writes, batch.seqs, strict=True):
            if fenced and write.head.fence in fenced:
                self.on_fenced(*write.head.fence)
            elif write.release is None:
                if not write.future.done():
                    write.future.set_result(seq)
            elif write.head.mission_id not in released:
                write.drafts = write.side = ()  # its entries are written; only the row was held by somebody
                self._loop.call_later(AGAIN_SECONDS, self.write, write)
            elif not write.future.done():
                write.future.set_result(int(released[write.head.mission_id]))
        self.on_flushed({fence[0] for fence in batch.before if fence not in fenced})

    def _check_fence(self, batch: Batch, released: dict[int, bool]) -> None:
        """Fewer rows than sent: ask who was fenced, and stop those missions here."""
        ids = list(dict.fromkeys(write.head.mission_id for write in batch.writes))

        def answered(done: asyncio.Future[list[PGresult]]) -> None:
            if (error := done.exception()) is not None:
                self.session.fail(error)  # nobody knows who was fenced, so everybody is
                return
            answer = done.result()[0]
            held = {
                (read_int(answer.get_value(row, 0) or b""), read_int(answer.get_value(row, 1) or b""))
                for row in range(answer.ntuples)
            }
            # A mission that this very batch released may be somebody else's by now; that is no fence.
            fenced = {write.head.fence for write in batch.writes if write.head.mission_id not in released} - held
            self._resolve(batch, released, fenced)

        self.call((b"fence", (int8s(ids),))).add_done_callback(answered)

    def _failed(self, batch: Batch, error: Refused) -> None:
        if not error.sqlstate.startswith((*REFUSALS, *TRANSIENT)):
            self.session.fail(error)  # the server goes away, or the schema changed under us: start over
            return
        if error.sqlstate in TRANSIENT:
            facts = {"action": "batch_again", "sqlstate": error.sqlstate}
            logger.warning("A batch was aborted; trying again", extra=facts)
            self._loop.call_later(TRANSIENT_SECONDS, self._send, batch)
            return
        self._busy = False
        batch.restore()
        parts: dict[int, list[Write]] = {}
        for write in batch.writes:
            parts.setdefault(write.head.mission_id, []).append(write)
        if len(parts) > 1:
            self._alone.extend(parts.values())
        else:
            (mission_id,) = parts
            refused = {"action": "entry_refused", "mission": mission_id}
            logger.error("The database refuses a mission's entry", extra=refused)
            self.on_refused(mission_id, str(error))
        self._schedule()


async def open_lane(
    worker_id: int, clock: Estimate, extra: Sequence[str], on_lost: Callable[[BaseException], Any]
) -> Lane:
    """Connect, take the shared lock on the worker's id, prepare the statements. Raises psycopg.Error, Refused."""
    setup = (*SETUP, f"select pg_advisory_lock_shared({worker_id})")
    statements = {name: statement(name) for name in (*STATEMENTS, *extra)}
    session = await open_session(f"standfast lane {worker_id:x}", statements=statements, setup=setup, on_lost=on_lost)
    return Lane(session, clock)
