"""Random programs of branches, and a worker that dies at random: the same end and the same effects as without."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from missions.engine import history
from missions.engine.lane import Lane
from missions.models import Effect, EffectState
from tests import live_worker
from tests.conftest import Clock
from tests.corners import allow, define
from tests.programs import Program, body, programs, run_it

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 20.0


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


def test_worker_that_dies_at_random_changes_neither_the_end_nor_the_effects(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaths, until = Deaths(), time.monotonic() + SECONDS
    monkeypatch.setattr(Lane, "_resolve", lambda lane, *what: deaths.resolve(lane, *what))
    allow()
    name = define("random", body)
    examined: list[Program] = []

    @given(program=programs, plan=st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=4))
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def examine(program: Program, plan: list[tuple[int, bool]]) -> None:
        if time.monotonic() > until:
            return
        deaths.plan = []
        _, ending, paid = run_it(name, program, clock)
        deaths.plan = list(plan)
        run, again, paid_again = run_it(name, program, clock)
        examined.append(program)
        assert (again, paid_again) == (ending, paid)
        assert history.verify(run).ok
        assert set(Effect.objects.filter(mission_id=run.pk).values_list("state", flat=True)) <= {EffectState.DONE}

    with live_worker.worker():
        examine()
    assert len(examined) >= 5 and deaths.happened >= 5
