"""Random programs of branches, and a worker that dies at random: the same end and the same effects as without."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from missions.engine import history
from missions.engine.lane import Lane
from missions.models import Effect, EffectState, Mission
from tests import live_worker
from tests.conftest import Clock
from tests.corners import allow, define
from tests.programs import Program, body, programs, races, run_it, told

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 6.0  # for each test
plans = st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=4)


class Deaths:
    """Lets a worker die after some of its commits, each time before anything comes of the commit, or just after."""

    def __init__(self) -> None:
        self.plan: list[tuple[int, bool]] = []
        self.happened = 0
        self._resolve = Lane._resolve

    def resolve(self, lane: Lane, *what: Any) -> None:
        """Stands before the lane's own method."""
        if not self.plan:
            self._resolve(lane, *what)
            return
        (left, before), *later = self.plan
        self.plan = [(left - 1, before), *later] if left > 1 else later
        if left > 1 or not before:
            self._resolve(lane, *what)
        if left <= 1:
            self.happened += 1
            lane.session.fail(RuntimeError("the test lets the worker die"))


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> Deaths:
    made = Deaths()
    monkeypatch.setattr(Lane, "_resolve", lambda lane, *what: made.resolve(lane, *what))
    allow()
    return made


def repeatedly(examine: Callable[..., None], drawn: st.SearchStrategy[Program], deaths: Deaths) -> None:
    """Examine drawn programs and plans under one worker for some seconds, and until there were enough of them."""
    until, count = time.monotonic() + SECONDS, 0

    @given(program=drawn, plan=plans)
    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def example(program: Program, plan: list[tuple[int, bool]]) -> None:
        nonlocal count
        if time.monotonic() < until or count < 5 or deaths.happened < 5:
            examine(program, plan)
            count += 1

    with live_worker.worker():
        example()
    assert count >= 5 and deaths.happened >= 5


def all_is_well(run: Mission) -> None:
    """The chain holds, no effect is left open, and every attempt that came to the end of the program told the same."""
    assert history.verify(run).ok
    assert set(Effect.objects.filter(mission_id=run.pk).values_list("state", flat=True)) <= {EffectState.DONE}
    assert all(made == told[run.uid][0] for made in told[run.uid][1:]) if run.uid in told else run.state == "failed"


def test_worker_that_dies_at_random_changes_neither_the_end_nor_the_effects(clock: Clock, deaths: Deaths) -> None:
    name = define("random", body)

    def examine(program: Program, plan: list[tuple[int, bool]]) -> None:
        deaths.plan = []
        _, ending, paid = run_it(name, program, clock)
        deaths.plan = list(plan)
        run, again, paid_again = run_it(name, program, clock)
        assert (again, paid_again) == (ending, paid)
        all_is_well(run)

    repeatedly(examine, programs, deaths)


def test_race_that_was_won_once_is_won_the_same_way_ever_after(clock: Clock, deaths: Deaths) -> None:
    name = define("races", body)

    def examine(program: Program, plan: list[tuple[int, bool]]) -> None:
        deaths.plan = list(plan)
        run, ending, paid = run_it(name, program, clock)
        assert ending["state"] == "completed" or "StepFailed" in ending["error"] or "step_failed" in ending["error"]
        done = Effect.objects.filter(mission_id=run.pk, state=EffectState.DONE).count()
        assert done == len(paid)
        all_is_well(run)

    repeatedly(examine, races, deaths)
