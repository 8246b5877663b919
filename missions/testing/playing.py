"""Running one mission from start to end for a test, crashed at most once, with time moved and nobody to wait for.

Every run has the same uid, so that ids, keys and seeds are the same too; afterwards its rows step aside. For databases
that serve nothing else: the clock is moved.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from missions.engine import feed, guard, history, mailbox, starting
from missions.engine.clock import database_now
from missions.engine.history import HistoryEntry
from missions.errors import Guarded
from missions.governance import Json
from missions.models import Effect, Kind, Mission, State
from missions.models.fields import DatabaseNow
from missions.testing import workers
from missions.testing.clock import Clock
from missions.testing.crashes import CrashingWorker, Cut
from missions.testing.ledger import Posting, ledgers
from missions.testing.requests import Request

LATER = dt.timedelta(days=3650)  # nobody claims it before it has its uid
WAKES = 200  # from timers, then a mission counts as one that never ends


@dataclass(slots=True, kw_only=True)
class Played:
    """One run, and what came of it."""

    cut: Cut | None
    state: str
    verdict: Json = field(default_factory=dict)  # verdict, summary, data
    error: str = ""
    waits_for: str = ""  # where it did not end
    entries: list[HistoryEntry]
    requests: list[Request]
    postings: list[Posting]  # of all ledgers
    repeated: list[Posting]  # of these, the second ones of a key
    violations: list[Guarded]

    @property
    def asked_people(self) -> bool:
        """Whether a person had to say what became of an effect: then there is no result but a reference."""
        return any(entry.kind == Kind.ASKED and entry.payload.get("kind") == "in_doubt" for entry in self.entries)


class Player:
    """Runs a mission of one type and input again and again, on a worker that can be made to crash."""

    def __init__(
        self, worker: CrashingWorker, requests: list[Request], type: str, input: Json, signals: Mapping[str, Json]
    ) -> None:
        self._worker, self._requests, self._type, self._input, self._signals = worker, requests, type, input, signals
        self._uid = uuid.uuid4()
        self._clock = Clock()

    def play(self, cut: Cut | None = None) -> Played:
        """One run from start to end. Raises InvalidInput, UnknownType, AssertionError where it hangs."""
        violations: list[Guarded] = []
        self._requests.clear()
        for ledger in ledgers():
            ledger.clear()
        mission, _ = starting.start(self._type, self._input, start_at=database_now() + LATER, via="command")
        self._worker.cut = cut
        guard.watchers.append(violations.append)
        try:
            self._let_go(mission)
            self._follow(mission)
        finally:
            guard.watchers.remove(violations.append)
            self._worker.cut = None
        played = self._played(mission, cut, violations)
        _step_aside(mission)
        return played

    def _let_go(self, mission: Mission) -> None:
        Mission.objects.filter(pk=mission.pk).update(uid=self._uid, wake_at=DatabaseNow())
        for name, payload in self._signals.items():
            mailbox.deliver(mission.pk, name, payload, key=name, sender="test")
        feed.announce_due()

    def _follow(self, mission: Mission) -> None:
        """Until it ends, pauses, or waits for what will never come; timers are not waited for."""
        seen = -1
        for _ in range(WAKES):
            workers.wait_until(
                mission, lambda now: now.ended or (workers.is_parked(now) and now.attempt != seen)  # noqa: B023
            )
            if mission.ended or mission.state == State.PAUSED or mission.wake_at is None:
                return
            seen = mission.attempt
            left = (mission.wake_at - self._clock.now()).total_seconds()
            self._clock.advance(max(left, 0.0) + 0.001)

    def _played(self, mission: Mission, cut: Cut | None, violations: list[Guarded]) -> Played:
        outcome = getattr(mission, "outcome", None)
        told = {"verdict": outcome.verdict, "summary": outcome.summary, "data": outcome.data} if outcome else {}
        return Played(
            cut=cut, state=mission.state, verdict=told, error=outcome.error if outcome else "",
            waits_for=mission.waits_for, entries=list(history.entries(mission.pk)), requests=list(self._requests),
            postings=[one for ledger in ledgers() for one in ledger.postings],
            repeated=[one for ledger in ledgers() for one in ledger.repeated()], violations=violations,
        )


def _step_aside(mission: Mission) -> None:
    """Free the uid and the keys for the next run; one that did not end may not wake up either."""
    Mission.objects.filter(pk=mission.pk).update(uid=uuid.uuid4(), wake_at=None)
    for effect in Effect.objects.filter(mission_id=mission.pk):
        Effect.objects.filter(pk=effect.pk).update(id=uuid.uuid4(), key=uuid.uuid4().hex)
