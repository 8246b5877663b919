"""One attempt of one mission in memory: replay in recorded order, live execution, waits, and leaving memory.

Recorded entries are released one by one in the order of seq, each to quiescence: the next one only after every branch
stands still again. Nothing fresh starts until the record is exhausted; a record that nobody asks for is a divergence.
A waiting call awaits. When every branch waits, the mission is parked; once that is committed the context is poisoned,
and only then are its tasks cancelled, so that `finally` blocks can start nothing.

`running` counts the branches that stand neither in a replay wait nor in a durable wait. Whoever resumes a branch
raises it before the branch runs, so zero means quiescence.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from missions.engine import crashpoints
from missions.engine.branches import Wait
from missions.engine.claims import Claimed, Mail, Recorded
from missions.engine.clock import Estimate
from missions.engine.codec import dump, load
from missions.engine.lane import Lane
from missions.engine.writes import Draft, Head, OpenEffect, Release, SettleEffect, Write
from missions.errors import Divergence, Suspended
from missions.models import Kind, State

TAKES_MAIL = (Kind.SIGNAL, Kind.ANSWERED)
EVIDENCE = 20  # the latest results, which a question to people shows
UNASKED = (Kind.PAUSED, Kind.CANCELLED)  # entries that no call of the author waits for


class Owner(Protocol):
    """What a run needs of the worker that runs it."""

    draining: bool

    def forget(self, run: Run, *, due: bool, wake_at: dt.datetime | None) -> None:
        """The mission has left memory; it may be claimed at once (`due`), at a time, or when something happens."""

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run synchronous code of the author in a thread with its own database connection, once."""

    async def in_database(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a verb of our own in a thread; where the database is away it is waited for, and the verb repeated."""

    def calling(self, task: asyncio.Task[Any], seconds: float) -> None:
        """A call is under way that may outlive this worker, until its deadline in so many seconds."""

    def report_late(self, mission_id: int, key: str, evidence: dict[str, Any]) -> None:
        """A call of a mission that left memory has answered after all; keep that as evidence in its mailbox."""


class Run:
    """A claimed mission while it is in memory."""

    def __init__(self, claimed: Claimed, lane: Lane, clock: Estimate, owner: Owner) -> None:
        self.claimed, self.lane, self.clock, self.owner = claimed, lane, clock, owner
        self.head = Head(
            claimed.id, claimed.uid, claimed.attempt, claimed.timeline, claimed.head_seq, claimed.link
        )
        entries = [entry for entry in claimed.entries if entry.kind not in (Kind.STARTED, *UNASKED)]
        self.record: deque[Recorded] = deque(entries)
        taken = {entry.payload.get("seq") for entry in entries if entry.kind in TAKES_MAIL}
        self.mail = [mail for mail in claimed.mail if mail.seq not in taken]
        self.inbox_seq = claimed.inbox_seq
        self.live = not self.record
        self.running = 1
        self.poisoned = self.parking = False
        self.refusals = 0
        self.step = entries[-1].path if entries else ""
        self.evidence: deque[dict[str, Any]] = deque(maxlen=EVIDENCE)
        self._waiters: dict[str, asyncio.Future[Recorded | None]] = {}
        self._waits: dict[str, Wait] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()

    # -- Replay --------------------------------------------------------------------------------------------------------

    async def recorded(self, path: str, input_hash: bytes = b"") -> Recorded | None:
        """The next recorded entry of this call, or None once the record is exhausted: then the call goes live."""
        self.check()
        if self.live:
            if self.owner.draining:
                await self._put_back(path)
            return None
        future: asyncio.Future[Recorded | None] = self._loop.create_future()
        self._waiters[path] = future
        self.stand_still()
        entry = await future
        if entry is None and self.owner.draining:
            await self._put_back(path)
        if entry is not None and entry.input_hash != input_hash:
            self._diverge(path, f"the inputs of {path!r} differ from those recorded in entry {entry.seq}")
        return entry

    async def _put_back(self, path: str) -> None:
        """The worker is leaving: start nothing fresh; another one goes on from here."""
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
        if self.record:
            entry = self.record[0]
            future = self._waiters.pop(entry.path, None)
            if future is None:
                self._leftover(entry)
                return
            self.record.popleft()
            self.go_on()
            future.set_result(entry)
        elif self._waiters:
            self.live = True
            waiters, self._waiters = list(self._waiters.values()), {}
            self.running += len(waiters)
            for future in waiters:
                future.set_result(None)
        elif self._waits:
            self._park()

    def finished(self) -> None:
        """The author's function has returned. A record that nobody asked for is a divergence."""
        if self.record:
            self._leftover(self.record[0])
            raise Suspended

    def _leftover(self, entry: Recorded) -> None:
        asked = ", ".join(repr(path) for path in self._waiters) or "nothing"
        self.pause(
            "divergence", f"entry {entry.seq} records {entry.kind} at {entry.path!r}, but the code asks for {asked}"
        )

    def _diverge(self, path: str, detail: str) -> NoReturn:
        self.pause("divergence", detail)
        raise Suspended from Divergence(detail, path=path)

    def unexpected(self, entry: Recorded, path: str) -> NoReturn:
        """The entry is of a kind that this call can not have written."""
        found = f"entry {entry.seq} at {path!r} is of kind {entry.kind}"
        self._diverge(path, f"{found}, which the code does not expect there")

    # -- Writing -------------------------------------------------------------------------------------------------------

    async def append(self, *drafts: Draft, effect: OpenEffect | SettleEffect | None = None) -> int:
        """Record entries; returns the last one's seq after the commit. Never returns to a fenced mission."""
        self.check()
        self.step = drafts[-1].path
        write = Write(head=self.head, future=self._loop.create_future(), drafts=drafts, effect=effect)
        return await self.lane.write(write)

    def release(self, release: Release, *drafts: Draft) -> asyncio.Future[int]:
        """Record the last entries and let go of the mission. No branch may run any more."""
        self.parking = True
        write = Write(head=self.head, future=self._loop.create_future(), drafts=drafts, release=release)
        future = self.lane.write(write)
        future.add_done_callback(lambda done: self._released(bool(done.result()), release.wake_at))
        return future

    def _released(self, due: bool, wake_at: dt.datetime | None) -> None:
        crashpoints.reach("after_park")
        self.poison()
        self.owner.forget(self, due=due, wake_at=wake_at)

    # -- Waiting -------------------------------------------------------------------------------------------------------

    async def wait(self, path: str, wait: Wait) -> None:
        """Stand still until the signal is in `mail`, or the time has come, or the mission has left memory."""
        self.check()
        wait.future = self._loop.create_future()
        self._waits[path] = wait
        if wait.wake_at is not None and wait.label:
            delay = wait.wake_at.timestamp() - self.clock.seconds()
            wait.timer = self._loop.call_later(max(0.0, delay), self._wake, path, wait)
        self.stand_still()
        await wait.future

    def _wake(self, path: str, wait: Wait) -> None:
        if self.parking or self.poisoned or self._waits.get(path) is not wait:
            return  # a parked mission is woken by its row
        del self._waits[path]
        if wait.timer is not None:
            wait.timer.cancel()
        self.go_on()
        if wait.future is not None:
            wait.future.set_result(None)

    def take_mail(self, name: str) -> Mail | None:
        """The oldest signal of this name that was not taken yet; it counts as taken once its entry is recorded."""
        for index, mail in enumerate(self.mail):
            if mail.name == name:
                return self.mail.pop(index)
        return None

    def has_mail(self, name: str) -> bool:
        """Whether a signal of this name lies there untaken."""
        return any(mail.name == name for mail in self.mail)

    def receive(self, mail: Mail) -> None:
        """A signal that came while the mission runs."""
        if mail.seq <= self.inbox_seq or self.parking or self.poisoned:
            return
        self.inbox_seq = mail.seq
        self.mail.append(mail)
        for path, wait in list(self._waits.items()):
            if mail.name in wait.signals:
                self._wake(path, wait)

    def is_past(self, moment: dt.datetime) -> bool:
        """Whether a time has come on the database's clock."""
        return self.clock.seconds() >= moment.timestamp()

    def _park(self) -> None:
        waits = list(self._waits.values())
        wakes = [wait.wake_at for wait in waits if wait.wake_at is not None]
        order = ("decision:", "signal:", "tool:", "timer")
        shown = min(waits, key=lambda wait: next((n for n, word in enumerate(order) if wait.label.startswith(word)), 9))
        state = State.WAITING if any(wait.signals for wait in waits) else State.SLEEPING
        if any(not wait.label for wait in waits):
            state, shown = State.READY, Wait(label="")
        wake_at = min(wakes) if wakes else None
        self.release(
            Release(state=state, inbox_seq=self.inbox_seq, wake_at=wake_at, waits_for=shown.label, step=self.step)
        )
        crashpoints.reach("during_park")

    # -- The end of this attempt ---------------------------------------------------------------------------------------

    def own(self, task: asyncio.Task[Any]) -> None:
        """A task that runs this mission's code; it is cancelled when the mission leaves memory."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def pause(self, reason: str, detail: str) -> None:
        """Stop here as needing attention, with an entry that says why; nothing else is lost."""
        if self.parking or self.poisoned:
            return
        body = dump({"reason": reason, "detail": detail})
        release = Release(state=State.PAUSED, inbox_seq=self.inbox_seq, reason=reason, step=self.step)
        self.release(release, Draft(kind=Kind.PAUSED, path="", payload=body))

    def refused(self, reason: str) -> None:
        """The database refuses an entry of this mission: pause it, without an entry where even that is refused."""
        self.refusals += 1
        self.parking = False
        words = "refused by the database"
        if self.refusals == 1:
            self.pause(words, reason)
        else:
            self.release(Release(state=State.PAUSED, inbox_seq=self.inbox_seq, reason=words))

    def poison(self) -> None:
        """Nothing may run here any more: every call raises Suspended, then the tasks are cancelled."""
        if self.poisoned:
            return
        self.poisoned = True
        for wait in self._waits.values():
            if wait.timer is not None:
                wait.timer.cancel()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    def cut_off(self) -> None:
        """The author's own code cancelled a durable call: stop before it goes on as if nothing had come of that."""
        self.pause("cut off", "The mission cancelled a durable call, as asyncio.timeout does; give steps their own.")

    @property
    def has_left(self) -> bool:
        """Whether the mission has left memory or is leaving it."""
        return self.poisoned or self.parking

    def check(self) -> None:
        """Raise Suspended where the mission has left memory or is leaving it."""
        if self.has_left:
            raise Suspended

    async def still_owner(self) -> None:
        """Return only while this worker is the mission's owner: a round trip over the lane, which dies with it."""
        self.check()
        await self.lane.confirm(self.head)
        self.check()

    @property
    def input(self) -> Any:
        """What the mission was started with, as plain JSON."""
        return load(self.claimed.entries[0].body)["input"]
