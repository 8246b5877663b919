"""How a mission leaves memory: let go of, paused, put back for a control, fenced.

The other half of `missions.engine.run`, which replays and waits. Nothing may run here any more once `has_left`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from missions.engine import crashpoints
from missions.engine.branches import Wait, is_cut_off
from missions.engine.claims import Claimed, Recorded
from missions.engine.clock import Estimate
from missions.engine.codec import dump
from missions.engine.inbox import Inbox
from missions.engine.lane import Lane
from missions.engine.owner import Owner
from missions.engine.record import Record
from missions.engine.writes import Draft, Head, Index, Release, Turn, Write
from missions.errors import Suspended
from missions.models import Kind, State


class Leaving:
    """A claimed mission in memory, as far as its end there goes."""

    record: Record
    moves: int

    def __init__(self, claimed: Claimed, lane: Lane, clock: Estimate, owner: Owner) -> None:
        self.claimed, self.lane, self.clock, self.owner = claimed, lane, clock, owner
        self.head = Head(
            claimed.id, claimed.uid, claimed.attempt, claimed.timeline, claimed.head_seq, claimed.link
        )
        self.first: Recorded = claimed.entries[0]
        self.inbox = Inbox(claimed.mail, claimed.inbox_seq)
        self.version = claimed.version  # of the code that runs here
        self.of_control = False
        self.quarantined = False  # it runs in quarantine, and leaves that as soon as it has got on
        self.step = self.park_state = self.park_reason = ""
        self.poisoned = self.parking = self.closing = False
        self.refusals = 0
        self.on_release: Callable[[Release], None] = lambda release: None  # it left memory, and how
        self._upgrade = self._overdue = False
        self._shielded: set[str] = set()
        self._waits: dict[str, Wait] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()

    def own(self, task: asyncio.Task[Any]) -> None:
        """A task that runs this mission's code; it is cancelled when the mission leaves memory."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- Letting go ----------------------------------------------------------------------------------------------------

    def _marked(self, drafts: Sequence[Draft]) -> Sequence[Draft]:
        """The first fresh entry of a later version tells so first."""
        if not (self._upgrade and drafts):
            return drafts
        self._upgrade = False
        body = dump({"from": self.claimed.version, "to": self.version})
        return (Draft(kind=Kind.UPGRADED, path="", payload=body), *drafts)

    def release(self, release: Release, *drafts: Draft, index: Sequence[Index] = ()) -> asyncio.Future[int]:
        """Record the last entries and let go of the mission. No branch may run any more."""
        self.parking = True
        drafts = tuple(self._marked(drafts))
        if self.version > self.claimed.version and not self._upgrade and not self.of_control:
            release.turn = release.turn or Turn()
            release.turn.version = self.version
        future: asyncio.Future[int] = self._loop.create_future()
        write = Write(head=self.head, future=future, drafts=drafts, index=index, release=release)
        self.lane.write(write)
        future.add_done_callback(lambda done: self._released(bool(done.result()), release))
        return future

    def next_seq(self) -> int:
        """The seq that this entry gets if it is the next to be written, while nothing else is under way."""
        return self.head.seq + (2 if self._upgrade else 1)

    def _released(self, due: bool, release: Release) -> None:
        crashpoints.reach("after_park")
        self.poison()
        self.owner.forget(self, due=due, wake_at=release.wake_at)
        self.on_release(release)

    # -- For a control -------------------------------------------------------------------------------------------------

    def close(self, control: dict[str, Any]) -> None:
        """A control has come: leave memory, and let the next claim handle it.

        A pause lets steps that run come to their record for a while; anything else cuts them off. Effects between
        intent and outcome are shielded from both.
        """
        if self.of_control or self.closing:
            return
        self.closing = True
        patience = self.owner.patience if control.get("verb") == "pause" else 0.0
        self._loop.call_later(patience, self._close_now)
        for path, wait in list(self._waits.items()):
            self._wake(path, wait)

    def _wake(self, path: str, wait: Wait) -> None:
        """Let the branch that waits there go on; a mission that has left memory is woken by its row."""
        raise NotImplementedError

    def shield(self, path: str, on: bool) -> None:
        """An effect at this path is between its intent and a definite entry: the mission stays in memory until then."""
        if on:
            self._shielded.add(path)
        elif path in self._shielded:
            self._shielded.discard(path)
            if self.closing and self._overdue:
                self._loop.call_soon(self._close_now)

    def _close_now(self) -> None:
        self._overdue = True
        if not (self._shielded or self.has_left):
            self.release(self.due())

    def due(self) -> Release:
        """Let go of the mission so that it is claimed again at once."""
        return Release(state=State.READY, inbox_seq=self.inbox.seq, wake_at=self.clock.now(), step=self.step)

    def leave_to_newer(self) -> None:
        """A later version of the type has gone on with this mission, and its row does not say so yet."""
        turn = Turn(version=self.record.version)
        self.release(Release(state=State.READY, inbox_seq=self.inbox.seq, wake_at=self.clock.now(), turn=turn))

    def upgrade(self, version: int) -> None:
        """The code here is of a later version: once it records something fresh, earlier ones leave it alone."""
        self.version = version
        self._upgrade = version > max(self.claimed.version, self.record.version)

    # -- Needing attention ---------------------------------------------------------------------------------------------

    def pause(self, reason: str, detail: str) -> None:
        """Stop here as needing attention, with an entry that says why; nothing else is lost."""
        if self.has_left:
            return
        body = dump({"reason": reason, "detail": detail})
        self.release(self.paused(reason), Draft(kind=Kind.PAUSED, path="", payload=body))

    def paused(self, reason: str) -> Release:
        """Let go of the mission as paused; a control that waits makes it due all the same."""
        wake_at = self.clock.now() if self.closing else None
        return Release(
            state=State.PAUSED, inbox_seq=self.inbox.seq, reason=reason, step=self.step, wake_at=wake_at
        )

    def refused(self, reason: str) -> None:
        """The database refuses an entry of this mission: pause it, without an entry where even that is refused."""
        self.refusals += 1
        self.parking = False
        words = "refused by the database"
        if self.refusals == 1:
            self.pause(words, reason)
        else:
            self.release(self.paused(words))

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
        """Raise Suspended where the mission has left memory or is leaving it, CancelledError in a branch cut off."""
        if self.poisoned or self.parking:
            raise Suspended
        self.moves += 1
        if is_cut_off():
            raise asyncio.CancelledError

    def current_task(self) -> asyncio.Task[Any] | None:
        """The task that runs on this mission's loop right now; every call asks, so the loop is not looked up."""
        return asyncio.current_task(self._loop)

