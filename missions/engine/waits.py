"""How a mission stands still: durable waits, what ends them, and parking once every branch waits.

The part of `missions.engine.run` that knows nothing of replay. A wait ends with a signal, with its time, or with the
mission leaving memory; who is woken looks again at what it waits for.
"""

from __future__ import annotations

import contextvars
import datetime as dt
from collections.abc import Callable
from typing import Any

from django.conf import settings

from missions.engine import crashpoints
from missions.engine.branches import Wait, stands_at
from missions.engine.claims import CONTROL, Mail
from missions.engine.codec import load
from missions.engine.leaving import Leaving
from missions.engine.writes import Release
from missions.models import State


class Waiting(Leaving):
    """A claimed mission in memory, as far as its waits go."""

    overtaken = False  # of a control: people want something else, so a question to people is not waited for
    overtaken_by: Callable[[str], bool] = staticmethod(lambda verb: False)

    def stand_still(self) -> None:
        """A branch stops running."""
        raise NotImplementedError

    def go_on(self) -> None:
        """A branch is about to run again."""
        raise NotImplementedError

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

    def receive(self, mail: Mail) -> None:
        """A signal that came while the mission runs."""
        if self.has_left or not self.inbox.add(mail):
            return
        if mail.name == CONTROL:
            self._steered(load(mail.body))
            return
        for path, wait in list(self._waits.items()):
            if mail.name in wait.signals:
                self._wake(path, wait)

    def _steered(self, control: dict[str, Any]) -> None:
        self.close(control)
        if self.overtaken_by(control["verb"]):
            self.overtaken = True
            for path, wait in list(self._waits.items()):
                if wait.label.startswith("decision:"):
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
        order = ("stop:", "decision:", "signal:", "child:", "limit:", "budget:", "tool:", "timer")
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
