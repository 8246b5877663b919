"""A tool that gives no answer: its circuit opens for all workers, one call probes, and who waited goes on throttled."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from missions.authoring import Context, OutcomeUnknown, ToolCall, ToolFailed, TryLater, tool
from missions.control import bulk
from missions.engine import alarms, circuits, permits
from missions.engine.clock import database_now
from missions.models import Circuit, CircuitChange, CircuitState, Mission, Permit
from tests import corners, live_worker
from tests.conftest import Clock
from tests.corners import begin, define

pytestmark = pytest.mark.django_db(transaction=True)


class Line:
    """Answers as told, and counts the calls."""

    def __init__(self) -> None:
        self.lock, self.calls, self.fault = threading.Lock(), 0, TryLater("Busy.", retry_after_seconds=0.01)
        self.dead = True

    def call(self) -> str:
        with self.lock:
            self.calls += 1
        if self.dead:
            raise self.fault
        return "answer"


line = Line()


@tool(name="corner.line", effect="write", retry_safety="keyed")
async def call_line(call: ToolCall) -> str:
    """Call the line"""
    return line.call()


async def ring(m: Context, request: dict[str, Any]) -> Any:
    try:
        return {"said": await m.tool("corner.line")}
    except ToolFailed:
        return {"said": "no"}


RING = define("circuits.ring", ring)


@pytest.fixture(autouse=True)
def fresh(settings: Any) -> None:
    """A line that is dead, and a circuit that stays open for ever unless the clock moves."""
    line.__init__()  # type: ignore[misc]
    corners.allow()
    settings.MISSIONS_BREAKER_SECONDS, settings.MISSIONS_BREAKER_FAILURES = 500.0, 3


def pass_time(clock: Clock, seconds: float) -> None:
    """Move the clock, and have workers look at it: their timers were set before it moved."""
    soon = database_now() + dt.timedelta(seconds=1)
    clock.advance(seconds)
    alarms.set_alarm("nobody:rings", soon)


def opened(missions: list[Mission]) -> None:
    """Wait until the circuit is open and all of the missions wait for it."""
    for one in missions:
        live_worker.wait_until(one, lambda now: now.owner is None and now.pk in _waiting())
    assert Circuit.objects.get().state == CircuitState.OPEN


def _waiting() -> set[int]:
    return set(Permit.objects.filter(granted_at=None).values_list("mission_id", flat=True))


def test_the_circuit_opens_for_all_workers_and_one_call_probes(clock: Clock) -> None:
    missions = [begin(RING) for _ in range(6)]
    with live_worker.worker(), live_worker.worker():
        opened(missions)
        before = line.calls
        for _ in range(2):  # a failed probe opens it again, for twice as long
            pass_time(clock, 1001)
            live_worker.wait_until(missions[0], lambda now, before=before: line.calls > before)  # type: ignore[misc]
            live_worker.wait_until(missions[0], lambda now: Circuit.objects.get().state == CircuitState.OPEN)
            opened(missions)
            assert line.calls == before + 1
            before = line.calls
        assert Circuit.objects.get().open_seconds == 600
        line.dead = False
        pass_time(clock, 1001)
        for one in missions:
            live_worker.ended(one)
    assert line.calls == before + 6
    assert Circuit.objects.get().state == CircuitState.CLOSED
    assert list(CircuitChange.objects.order_by("pk").values_list("state", flat=True)) == ["open", "closed"]
    assert not Permit.objects.exists()
    told = [entry for one in missions for entry in corners.history.entries(one.pk) if entry.payload.get("circuit")]
    assert len(told) == 6  # one entry a mission, not one a probe


def test_a_mission_that_waits_for_the_circuit_says_so() -> None:
    mission = begin(RING)
    with live_worker.worker():
        opened([mission])
    mission.refresh_from_db()
    assert (mission.state, mission.waits_for) == ("waiting", "tool:corner.line")


def test_a_declared_error_is_an_answer() -> None:
    line.fault = ToolFailed("No.", code="no")  # type: ignore[assignment]
    missions = [begin(RING) for _ in range(5)]
    with live_worker.worker():
        for one in missions:
            live_worker.ended(one)
    assert not Circuit.objects.exclude(state=CircuitState.CLOSED).exists()


def test_calls_without_a_definite_answer_count_too(settings: Any) -> None:
    line.fault = OutcomeUnknown("Gone.")  # type: ignore[assignment]
    mission = begin(RING)
    settings.MISSIONS_BREAKER_FAILURES = 1
    with live_worker.worker():
        opened([mission])
    assert line.calls == 1


def test_who_waited_is_woken_in_waves(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MISSIONS_WAKES_AT_ONCE = 4
    waves: list[tuple[dt.datetime, int]] = []  # when, and how many
    wake = permits._wake

    def counted(pool: permits.Pool, granted: Iterable[Permit]) -> None:
        if held := list(granted):
            waves.append((pool.now, len(held)))
        wake(pool, held)

    monkeypatch.setattr(permits, "_wake", counted)
    circuits.open_by_hand("corner.line", by="olivia", reason="Under repair")
    line.dead = False
    missions = [begin(RING) for _ in range(10)]
    with live_worker.worker():
        opened(missions)
        circuits.close_by_hand("corner.line", by="olivia")
        for one in missions:
            live_worker.ended(one)
    assert len(waves) >= 3 and max(count for _, count in waves) <= 4
    assert waves[-1][0] - waves[0][0] >= dt.timedelta(seconds=0.1)  # at least 100 ms from the first to the last
    assert CircuitChange.objects.filter(changed_by="olivia").count() == 2


def test_retry_of_many_lets_open_circuits_be_probed_at_once(clock: Clock) -> None:
    held, later = (
        Circuit.objects.create(tool=name, state=CircuitState.OPEN, since=database_now(), probe_at=probe_at)
        for name, probe_at in (("held", None), ("later", database_now() + dt.timedelta(minutes=9)))
    )
    bulk.steer_all([], "pause")
    assert Circuit.objects.get(pk=later.pk).probe_at == later.probe_at
    bulk.steer_all([], "retry")
    probe_at = Circuit.objects.get(pk=later.pk).probe_at
    assert probe_at is not None and probe_at <= clock.now()
    assert Circuit.objects.get(pk=held.pk).probe_at is None


@pytest.mark.parametrize("probe", [None, 1])
def test_retry_of_many_does_not_wait_for_a_probe_that_was_begun_before(probe: int | None) -> None:
    """Of a mission that has failed meanwhile, or still under way: its failure counts for nothing."""
    state = {"state": CircuitState.HALF_OPEN, "open_seconds": 80, "probe_at": database_now()}
    before = begin(RING)
    permit = Permit.objects.create(
        mission_id=before.pk, attempt=1, path="probe", tool="corner.line", limits=[], granted_at=database_now(),
    )
    Circuit.objects.create(tool="corner.line", probe=permit.pk, since=database_now(), **state)
    bulk.steer_all([], "retry")
    if probe:
        circuits.failed("corner.line", before.pk, "probe", "It took long.")
    circuit = Circuit.objects.get()
    assert (circuit.state, circuit.probe, circuit.open_seconds) == (CircuitState.OPEN, None, 0)
    assert circuit.probe_at is not None and circuit.probe_at <= database_now()
    line.dead = False
    with live_worker.worker():
        live_worker.ended(before)
