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
import functools
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from missions.data_classes import DEFAULT, Clearance, clearance
from missions.engine.branches import Branch, Wait, is_cut_off, stands_at
from missions.engine.budgets import ledger_of
from missions.engine.claims import Claimed, Recorded, more_entries
from missions.engine.clock import Estimate
from missions.engine.codec import words
from missions.engine.divergence import Told, facts, untold
from missions.engine.guard import Guarding
from missions.engine.lane import Lane
from missions.engine.owner import Owner
from missions.engine.readings import Readings
from missions.engine.record import Record
from missions.engine.waits import Waiting
from missions.engine.writes import Draft, Index, Side, Write
from missions.errors import Divergence, Guarded, Suspended
from missions.models import Kind

TAKES_MAIL = (Kind.SIGNAL, Kind.ANSWERED)
EVIDENCE = 20  # the latest results, which a question to people shows


class Run(Waiting):
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
        self.readings = Readings()
        # The sources outside our trust that the mission, or an agent in it, has read from, earlier chapters included.
        self.untrusted: set[str] = set(self.first.payload.get("untrusted", ()))
        self._waiters: dict[str, asyncio.Future[Recorded | None]] = {}
        self._told: dict[str, Told] = {}  # the inputs of what waits there
        self._asked: Told = untold  # those of the call that got its entry last

    # -- Replay --------------------------------------------------------------------------------------------------------

    async def recorded(self, path: str, input_hash: bytes = b"", told: Told = untold) -> Recorded | None:
        """The next recorded entry of this call, or None once the record is exhausted: then the call goes live.

        `told` gives the call's inputs, for people who have to compare them with what was recorded.
        """
        self.check()
        if self.live:
            if self.leaving:
                await self.put_back(path)
            return None
        entry = self._at_once(path)
        if entry is None:
            future: asyncio.Future[Recorded | None] = self._loop.create_future()
            self._waiters[path], self._told[path] = future, told
            stands_at(path)
            self.stand_still()
            entry = await future
        if entry is None and self.leaving:
            await self.put_back(path)
        if entry is not None and entry.input_hash != input_hash:
            detail = f"the inputs of {path!r} differ from those recorded in entry {entry.seq}"
            self._diverge(path, detail, entry, told)
        self._asked = told
        return entry

    def _at_once(self, path: str) -> Recorded | None:
        """The next entry, where all else stands still and it is this call's: what standing still would come to."""
        if self.running != 1 or self._waiters:
            return None
        self.ledger.take_own(self.record)
        entry = self.record.next
        if entry is None or entry.path != path or self.record.runs_short:
            return None
        return self._taken()

    @property
    def goes_live(self) -> bool:
        """Whether a call has nothing to replay and may start at once: then it need not ask for its record."""
        hindered = self.closing or self.quarantined or self.poisoned or self.parking or self.owner.draining
        return self.live and not hindered and not is_cut_off()

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
            self._told.pop(entry.path, None)
            if future is None:
                self._leftover(entry)
                return
            self.go_on()
            future.set_result(self._taken())
        elif self._waiters:
            self.live = True
            self._told.clear()
            waiters, self._waiters = list(self._waiters.values()), {}
            self.running += len(waiters)
            for future in waiters:
                future.set_result(None)
        elif self._waits:
            self._park()

    def _taken(self) -> Recorded:
        entry = self.record.pop()
        if entry.kind in TAKES_MAIL:
            self.inbox.drop([entry.payload.get("seq")])
        self.step, self.matched_seq = entry.path, entry.seq
        self.ledger.fold(entry.kind, entry.path, entry.body)
        return entry

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

    def finished(self, error: BaseException | None = None) -> None:
        """The author's function has ended. A record that nobody asked for is a divergence, or a violation's fault."""
        self.ledger.take_own(self.record)
        if self.record and isinstance(error, Guarded):
            self.owner.attend(self, "violation", words(error), matched_seq=self.matched_seq)
            raise Suspended
        if self.record:
            self._leftover(self.record.next, f"; it raised {type(error).__name__}: {words(error)}" if error else "")
            raise Suspended

    @property
    def following(self) -> Recorded | None:
        """The entry that is released next; None once the record is exhausted."""
        return self.record.next

    def _leftover(self, entry: Recorded | None, ending: str = "") -> None:
        asked = ", ".join(repr(path) for path in self._waiters) or "nothing"
        found = f"entry {entry.seq} records {entry.kind} at {entry.path!r}" if entry else "more is recorded"
        detail = f"{found}, but the code asks for {asked}{ending}"
        differs = facts(entry, {path: self._told[path] for path in self._waiters}, self.record)
        self.owner.attend(self, "divergence", detail, matched_seq=self.matched_seq, differs=differs)

    def _diverge(self, path: str, detail: str, entry: Recorded, told: Told = untold) -> NoReturn:
        differs, matched = facts(entry, {path: told}, self.record), min(self.matched_seq, entry.seq - 1)
        self.owner.attend(self, "divergence", detail, matched_seq=matched, differs=differs)
        raise Suspended from Divergence(detail, path=path)

    def differs(self, entry: Recorded, path: str, detail: str, told: Told = untold) -> NoReturn:
        """What the code comes to is not what this entry of its own records."""
        self._diverge(path, detail, entry, told)

    def unexpected(self, entry: Recorded, path: str) -> NoReturn:
        """The entry is of a kind that this call can not have written."""
        found = f"entry {entry.seq} at {path!r} is of kind {entry.kind}"
        self._diverge(path, f"{found}, which the code does not expect there", entry, self._asked)

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
        marked = self._marked(drafts) if self._upgrade else drafts
        write = Write(head=self.head, future=self._loop.create_future(), drafts=marked, index=index, side=side)
        return self.lane.write(write)

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

    @functools.cached_property
    def clearance(self) -> Clearance:
        """The data classes that this mission may touch: as it was started, whatever its type says by now."""
        return clearance(self.first.payload.get("data_classes", DEFAULT))

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
