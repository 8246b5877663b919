"""One attempt of one mission in memory: replay in recorded order, live execution, waits, and leaving memory.

Recorded entries are released one by one in the order of seq, each to quiescence: the next one only after every branch
stands still again. Nothing fresh starts until the record is exhausted; a record that nobody asks for is a divergence.
A waiting call awaits. When every branch waits, the mission is parked; once that is committed the context is poisoned,
and only then are its tasks cancelled, so that `finally` blocks can start nothing.

`running` counts the branches that stand neither in a replay wait nor in a durable wait. Whoever resumes a branch
raises it before the branch runs, so zero means quiescence.

A control program (`missions.control`) runs the same way, over what it has recorded itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from django.conf import settings

from missions.engine import crashpoints
from missions.engine.branches import Branch, Wait, stands_at
from missions.engine.budgets import ledger_of
from missions.engine.claims import CONTROL, Claimed, Mail, Recorded, more_entries
from missions.engine.clock import Estimate
from missions.engine.codec import load
from missions.engine.guard import Guarding
from missions.engine.lane import Lane
from missions.engine.leaving import Leaving
from missions.engine.owner import Owner
from missions.engine.record import Record
from missions.engine.writes import Draft, Index, Release, Side, Write
from missions.errors import Divergence, Suspended
from missions.models import Kind, State

TAKES_MAIL = (Kind.SIGNAL, Kind.ANSWERED)
EVIDENCE = 20  # the latest results, which a question to people shows


class Run(Leaving):
    """A claimed mission while it is in memory."""

    def __init__(
        self, claimed: Claimed, lane: Lane, clock: Estimate, owner: Owner, *,
        control: Iterable[Recorded] | None = None, whole: bool = False,
    ) -> None:
        super().__init__(claimed, lane, clock, owner)
        self.of_control = control is not None
        if control is None:
            self.record = Record(claimed.entries, whole=whole)
        else:
            self.record = Record(control, whole=True, of_control=True)
        claimed.entries = []  # the record holds them, and only as long as it must
        if self.first.kind == Kind.CHAPTER:
            self.inbox.drop(self.first.payload["taken"])
        self.live = not self.record
        self.running = 1
        self.matched_seq = self.first.seq
        self.patches: dict[str, bool] = {}
        self.ledger = ledger_of(self.first)
        self.root: weakref.ref[Branch] | None = None
        self.moves = 0  # rises with each durable call
        self.scope: Guarding | None = None  # the guard of the mission's body
        self.evidence: deque[dict[str, Any]] = deque(maxlen=EVIDENCE)
        self._waiters: dict[str, asyncio.Future[Recorded | None]] = {}

    # -- Replay --------------------------------------------------------------------------------------------------------

    async def recorded(self, path: str, input_hash: bytes = b"") -> Recorded | None:
        """The next recorded entry of this call, or None once the record is exhausted: then the call goes live."""
        self.check()
        if self.live:
            if self.leaving:
                await self.put_back(path)
            return None
        future: asyncio.Future[Recorded | None] = self._loop.create_future()
        self._waiters[path] = future
        stands_at(path)
        self.stand_still()
        entry = await future
        if entry is None and self.leaving:
            await self.put_back(path)
        if entry is not None and entry.input_hash != input_hash:
            self._diverge(path, f"the inputs of {path!r} differ from those recorded in entry {entry.seq}", entry)
        return entry

    @property
    def leaving(self) -> bool:
        """Whether nothing fresh may start here: the worker is leaving, or a control waits, or others want the place."""
        got_on = self.head.seq > self.claimed.head_seq
        return self.owner.draining or self.closing or (self.quarantined and got_on)

    async def put_back(self, path: str) -> None:
        """Start nothing fresh; another attempt goes on from here."""
        await self.wait(path, Wait(label="", wake_at=self.clock.now()))

    def stand_still(self) -> None:
        """A branch stops running; at quiescence the next thing happens."""
        self.running -= 1
        if self.running == 0 and not self.poisoned:
            self._settle()

    def go_on(self) -> None:
        """A branch is about to run again; call it before waking the branch."""
        self.running += 1

    def _settle(self) -> None:
        self.ledger.take_own(self.record)
        entry = self.record.next
        if self.record.runs_short:
            self.owner.spawn(self._fetch())
        elif entry is not None:
            future = self._waiters.pop(entry.path, None)
            if future is None:
                self._leftover(entry)
                return
            self._release_entry(self.record.pop(), future)
        elif self._waiters:
            self.live = True
            waiters, self._waiters = list(self._waiters.values()), {}
            self.running += len(waiters)
            for future in waiters:
                future.set_result(None)
        elif self._waits:
            self._park()

    def _release_entry(self, entry: Recorded, future: asyncio.Future[Recorded | None]) -> None:
        if entry.kind in TAKES_MAIL:
            self.inbox.drop([entry.payload.get("seq")])
        self.step, self.matched_seq = entry.path, entry.seq
        self.ledger.fold(entry.kind, entry.path, entry.body)
        self.go_on()
        future.set_result(entry)

    async def prepare(self) -> None:
        """Have the beginning of the record at hand; call it before the program begins."""
        while self.record.runs_short:
            self.record.add(await more_entries(self.lane, self.claimed, self.record.last_seq))

    async def _fetch(self) -> None:
        """The next portion of a long history."""
        await self.prepare()
        if self.record.version > self.version:
            self.leave_to_newer()
        elif self.running == 0 and not self.has_left:
            self._settle()

    def finished(self) -> None:
        """The author's function has returned. A record that nobody asked for is a divergence."""
        self.ledger.take_own(self.record)
        if self.record:
            self._leftover(self.record.next)
            raise Suspended

    @property
    def following(self) -> Recorded | None:
        """The entry that is released next; None once the record is exhausted."""
        return self.record.next

    def _leftover(self, entry: Recorded | None) -> None:
        asked = ", ".join(repr(path) for path in self._waiters) or "nothing"
        found = f"entry {entry.seq} records {entry.kind} at {entry.path!r}" if entry else "more is recorded"
        detail = f"{found}, but the code asks for {asked}"
        self.owner.attend(self, "divergence", detail, matched_seq=self.matched_seq)

    def _diverge(self, path: str, detail: str, entry: Recorded) -> NoReturn:
        self.owner.attend(self, "divergence", detail, matched_seq=min(self.matched_seq, entry.seq - 1))
        raise Suspended from Divergence(detail, path=path)

    def unexpected(self, entry: Recorded, path: str) -> NoReturn:
        """The entry is of a kind that this call can not have written."""
        found = f"entry {entry.seq} at {path!r} is of kind {entry.kind}"
        self._diverge(path, f"{found}, which the code does not expect there", entry)

    # -- Writing -------------------------------------------------------------------------------------------------------

    async def append(self, *drafts: Draft, index: Sequence[Index] = (), side: Sequence[Side] = ()) -> int:
        """Record entries; returns the last one's seq after the commit. Never returns to a fenced mission."""
        seq = await self.queue(*drafts, index=index, side=side)
        for draft in drafts:
            self.ledger.fold(draft.kind, draft.path, draft.payload)
        return seq

    def queue(
        self, *drafts: Draft, index: Sequence[Index] = (), side: Sequence[Side] = ()
    ) -> asyncio.Future[int]:
        """The same without waiting: their place in the journal is after all that was queued before."""
        self.check()
        self.step = drafts[-1].path
        marked = self._marked(drafts)
        write = Write(head=self.head, future=self._loop.create_future(), drafts=marked, index=index, side=side)
        return self.lane.write(write)

    # -- Waiting -------------------------------------------------------------------------------------------------------

    async def wait(self, path: str, wait: Wait) -> None:
        """Stand still until the signal is in `mail`, or the time has come, or the mission has left memory."""
        self.check()
        wait.future = self._loop.create_future()
        self._waits[path] = wait
        stands_at(path)
        if wait.wake_at is not None and wait.label:
            delay = wait.wake_at.timestamp() - self.clock.seconds()
            # A context of its own: the loop keeps cancelled timers for long, and with them what their context holds.
            bare = contextvars.Context()
            wait.timer = self._loop.call_later(max(0.0, delay), self._wake, path, wait, context=bare)
        self.stand_still()
        await wait.future

    def _wake(self, path: str, wait: Wait) -> None:
        if self.parking or self.poisoned or self._waits.get(path) is not wait:
            return
        del self._waits[path]
        if wait.timer is not None:
            wait.timer.cancel()
        self.go_on()
        if wait.future is not None:
            wait.future.set_result(None)

    def wake(self, path: str) -> None:
        """Let go on what stands in a durable wait at this path, if anything does."""
        if (wait := self._waits.get(path)) is not None:
            self._wake(path, wait)

    def interrupt(self, path: str) -> None:
        """Wake what stands still at this path, if anything does, with a cancellation: its branch was cut off."""
        future: asyncio.Future[Any] | None = self._waiters.pop(path, None)
        if (wait := self._waits.pop(path, None)) is not None:
            future = wait.future
            if wait.timer is not None:
                wait.timer.cancel()
        if future is not None and not self.has_left:
            self.go_on()
            future.cancel()

    def receive(self, mail: Mail) -> None:
        """A signal that came while the mission runs."""
        if self.has_left or not self.inbox.add(mail):
            return
        if mail.name == CONTROL:
            self.close(load(mail.body))
            return
        for path, wait in list(self._waits.items()):
            if mail.name in wait.signals:
                self._wake(path, wait)

    def is_past(self, moment: dt.datetime) -> bool:
        """Whether a time has come on the database's clock."""
        return self.clock.seconds() >= moment.timestamp()

    def _is_short(self, wake_at: dt.datetime) -> bool:
        left = wake_at.timestamp() - self.clock.seconds()
        return left <= settings.MISSIONS_SHORT_WAIT_SECONDS and not self.owner.draining and self.owner.spares()

    def _park(self) -> None:
        if self.closing:
            self.release(self.due())
            return
        waits = list(self._waits.values())
        wakes = [wait.wake_at for wait in waits if wait.wake_at is not None]
        order = ("decision:", "signal:", "child:", "limit:", "tool:", "timer")
        shown = min(waits, key=lambda wait: next((n for n, word in enumerate(order) if wait.label.startswith(word)), 9))
        state = State.WAITING if any(wait.signals for wait in waits) else State.SLEEPING
        if any(not wait.label for wait in waits):
            state, shown = State.READY, Wait(label="")
        wake_at = min(wakes) if wakes else None
        if state != State.READY and wake_at is not None and self._is_short(wake_at):
            return  # the timers of the waits go on in memory
        self.release(Release(
            state=self.park_state or state, inbox_seq=self.inbox.seq, wake_at=wake_at, waits_for=shown.label,
            step=self.step, reason=self.park_reason,
        ))
        crashpoints.reach("during_park")

    # -- Ownership -----------------------------------------------------------------------------------------------------

    async def still_owner(self) -> None:
        """Return only while this worker is the mission's owner: a round trip over the lane, which dies with it."""
        self.check()
        await self.lane.confirm(self.head)
        self.check()

    @property
    def input(self) -> Any:
        """What the mission was started with, or what its last chapter handed over, as plain JSON."""
        return self.first.payload["state" if self.first.kind == Kind.CHAPTER else "input"]
