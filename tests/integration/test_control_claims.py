"""Controls are claimed where their mission would not be: under a limit, of an unknown type; and not while frozen."""

from __future__ import annotations

from typing import Any

import pytest

from missions.authoring import Context
from missions.engine import freezing, limits
from missions.engine.controls import request
from missions.models import Freeze, Mission, Scope, State, Worker
from missions.models.fields import DatabaseNow
from tests import live_worker
from tests.corners import begin, define

pytestmark = pytest.mark.django_db(transaction=True)


async def idle(m: Context, request: dict[str, Any]) -> None:
    """Does nothing."""


IDLE = define("idle", idle)


@pytest.mark.parametrize("name", [IDLE, "*"])
def test_no_limit_on_types_holds_up_a_control(name: str) -> None:
    limits.put(Scope.TYPE, name, concurrency=0)
    steered, other = begin(IDLE), begin(IDLE)
    request(steered.pk, "cancel")
    with live_worker.worker():
        live_worker.wait_until(steered, lambda now: now.state == State.CANCELLED)
        other.refresh_from_db()
        assert (other.state, other.attempt) == (State.READY, 0)


def test_control_of_an_unknown_type_is_handled() -> None:
    steered, other = begin(IDLE), begin(IDLE)
    Mission.objects.update(type="of-another-host")
    request(steered.pk, "cancel")
    with live_worker.worker():
        live_worker.wait_until(steered, lambda now: now.state == State.CANCELLED)
        other.refresh_from_db()
        assert (other.state, other.attempt) == (State.READY, 0)


def test_nothing_is_claimed_while_frozen_controls_neither() -> None:
    steered = begin(IDLE)
    request(steered.pk, "cancel")
    Freeze.objects.create(why="a test", host="h", witness={}, found_at=DatabaseNow())
    with live_worker.worker():
        live_worker.wait_until(steered, lambda now: Worker.objects.exists())
        first = Worker.objects.values_list("heartbeat_at", flat=True)
        seen = list(first)  # it looks for work before its heart beats twice
        live_worker.wait_until(steered, lambda now: list(first.all()) != seen)
        steered.refresh_from_db()
        assert (steered.state, steered.attempt) == (State.READY, 0)
        freezing.thaw("looked", by="test", nothing_was_lost=True)
        live_worker.wait_until(steered, lambda now: now.state == State.CANCELLED)


@pytest.mark.parametrize(("verb", "state"), [("resume", State.PAUSED), ("retry", State.FAILED)])
def test_letting_a_mission_go_on_counts_its_strikes_from_zero(verb: str, state: str) -> None:
    mission = begin(IDLE)
    Mission.objects.filter(pk=mission.pk).update(state=state, reason="quarantined", strikes=3, wake_at=None)
    request(mission.pk, verb)
    mission.refresh_from_db()
    assert mission.strikes == 0
