"""Stop buttons: nothing that is stopped starts, calls under way come to their end, and all go on once it is lifted."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from missions.authoring import Context, ToolCall, TryLater, tool
from missions.engine import controls, mailbox, stops
from missions.engine.process import Worker
from missions.errors import AlreadyStopped, InvalidInput, UnknownStop
from missions.models import Held, Kind, Mission, Signal, State, Stop
from tests import corners, live_worker
from tests.corners import begin, define, told

pytestmark = pytest.mark.django_db(transaction=True)
BY = {"reason": "It pays twice.", "by": "olivia"}


class Bell:
    """A tool that can be made to wait in the middle of its call."""

    def __init__(self) -> None:
        self.rung, self.entered, self.go = 0, threading.Event(), threading.Event()
        self.go.set()

    def ring(self) -> str:
        self.rung += 1
        self.entered.set()
        assert self.go.wait(20)
        return "ding"


bell = Bell()


@tool(name="corner.bell", effect="write", retry_safety="manual")
def ring_bell(call: ToolCall) -> str:
    """Ring"""
    return bell.ring()


@tool(name="corner.look", effect="read")
async def look(call: ToolCall) -> str:
    """Look"""
    bell.rung += 1
    return "seen"


async def once(m: Context, request: dict[str, Any]) -> Any:
    await m.wait_for_signal("go")
    return {"said": await m.tool(request.get("tool", "corner.bell"))}


async def steps(m: Context, request: dict[str, Any]) -> Any:
    await m.wait_for_signal("go")
    for number in range(3):
        await m.step(f"step-{number}", lambda: None)
    return {"said": await m.tool("corner.bell")}


ONCE, STEPS = define("stops.once", once), define("stops.steps", steps)


@pytest.fixture(autouse=True)
def fresh() -> None:
    bell.__init__()  # type: ignore[misc]
    corners.allow()


def ready(name: str, **request: Any) -> Mission:
    """A mission that waits for the word to go."""
    mission = begin(name, **request)
    live_worker.parked(mission)
    return mission


def go(mission: Mission) -> None:
    mailbox.deliver(mission.pk, "go", {})


def heard(running: Worker, stop: Stop) -> None:
    """Return once the worker knows of the stop. Raises AssertionError if it never does."""
    give_up = time.monotonic() + live_worker.PATIENCE
    while running.incarnation is None or stop.pk not in running.incarnation.rules().stops.ids.values():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def waits_for(mission: Mission, what: str) -> Mission:
    return live_worker.wait_until(mission, lambda now: now.owner is None and now.waits_for == what)


@pytest.mark.parametrize("name", ["corner.bell", "corner.look"])
def test_no_call_of_a_stopped_tool_starts_until_it_is_lifted(name: str) -> None:
    with live_worker.worker() as running:
        missions = [ready(ONCE, tool=name) for _ in range(3)]
        heard(running, stop := stops.press("tool", name, **BY))
        for mission in missions:
            go(mission)
            waits_for(mission, f"stop:tool:{name}")
        assert (bell.rung, Held.objects.count()) == (0, 3)
        stops.lift(stop.pk, reason="It was us.", by="paula")
        for mission in missions:
            assert live_worker.ended(mission).state == State.COMPLETED
    assert (bell.rung, Held.objects.count()) == (3, 0)


@pytest.mark.parametrize(("scope", "name"), [("all", ""), ("mission_type", ONCE), ("mission_type", STEPS)])
def test_missions_of_a_stopped_type_do_not_go_on_and_others_do(scope: str, name: str) -> None:
    with live_worker.worker() as running:
        pair = {kind: ready(kind) for kind in (ONCE, STEPS)}
        heard(running, stop := stops.press(scope, name, **BY))
        for mission in pair.values():
            go(mission)
        stopped = [mission for kind, mission in pair.items() if name in ("", kind)]
        for mission in pair.values():
            if mission not in stopped:
                live_worker.ended(mission)
        for mission in stopped:
            live_worker.wait_until(mission, lambda now: now.owner is None and now.state != State.COMPLETED)
        stops.lift(stop.pk, by="paula")
        for mission in stopped:
            assert live_worker.ended(mission).state == State.COMPLETED
    assert bell.rung == 2


def test_a_call_under_way_comes_to_its_end_and_its_mission_then_stands_still() -> None:
    bell.go.clear()
    with live_worker.worker():
        mission = ready(ONCE)
        go(mission)
        assert bell.entered.wait(20)
        stop = stops.press("all", **BY)
        bell.go.set()
        live_worker.wait_until(mission, lambda now: now.owner is None)
        assert told(mission)[-1] in (Kind.OUTCOME, Kind.COMPLETED)  # recorded, and never called again
        stops.lift(stop.pk, by="paula")
        live_worker.ended(mission)
    assert bell.rung == 1


def test_a_stopped_mission_can_be_cancelled() -> None:
    with live_worker.worker():
        mission = ready(ONCE)
        stops.press("all", **BY)
        controls.request(mission.pk, "cancel", reason="No more.", by="olivia")
        assert live_worker.ended(mission).state == State.CANCELLED


def test_a_call_that_is_put_off_does_not_start_again_while_its_tool_is_stopped() -> None:
    def busy() -> None:
        raise TryLater("Busy.", retry_after_seconds=2)  # the worker has heard of the stop by then

    corners.bank.__init__()  # type: ignore[misc]
    corners.bank.fault = busy
    mission = begin(define("stops.bank", corners.pay), tool="corner.manual")
    with live_worker.worker() as running:
        live_worker.wait_until(mission, lambda now: bool(corners.bank.calls))
        heard(running, stop := stops.press("tool", "corner.manual", **BY))
        waits_for(mission, "stop:tool:corner.manual")
        tried, corners.bank.fault = len(corners.bank.calls), lambda: None
        stops.lift(stop.pk, by="paula")
        live_worker.ended(mission)
    assert len(corners.bank.calls) == tried + 1
    assert Kind.DOUBT not in told(mission)


def test_a_stop_survives_its_workers_and_holds_for_new_ones() -> None:
    with live_worker.worker():
        mission = ready(ONCE)
    stop = stops.press("tool", "corner.bell", **BY)
    go(mission)
    with live_worker.worker(), live_worker.worker():
        waits_for(mission, "stop:tool:corner.bell")
    stops.lift(stop.pk, by="paula")
    with live_worker.worker():
        live_worker.ended(mission)
    assert bell.rung == 1


def test_many_are_woken_in_waves(settings: Any) -> None:
    settings.MISSIONS_WAKES_AT_ONCE = 3
    with live_worker.worker() as running:
        missions = [ready(ONCE) for _ in range(8)]
        heard(running, stop := stops.press("tool", "corner.bell", **BY))
        for mission in missions:
            go(mission)
            waits_for(mission, "stop:tool:corner.bell")
        stops.lift(stop.pk, by="paula")
        for mission in missions:
            live_worker.ended(mission)
    assert Signal.objects.filter(name=stops.signal_of(stop.pk)).count() == 8


def test_a_mission_that_comes_to_a_stop_as_it_is_lifted_goes_on() -> None:
    stop = stops.press("tool", "corner.bell", **BY)
    stops.lift(stop.pk, by="paula")
    assert stops.hold(stop.pk, 1) is None


def test_what_is_stopped_is_not_stopped_twice_and_not_lifted_twice() -> None:
    stop = stops.press("tool", "corner.bell", **BY)
    with pytest.raises(AlreadyStopped):
        stops.press("tool", "corner.bell", **BY)
    lifted = stops.lift(stop.pk, reason="Mended.", by="paula")
    assert (lifted.lifted_by, lifted.lift_reason) == ("paula", "Mended.")
    with pytest.raises(UnknownStop):
        stops.lift(stop.pk, by="paula")
    stops.press("tool", "corner.bell", **BY)
    assert Stop.objects.count() == 2


@pytest.mark.parametrize(
    ("scope", "name", "reason", "field"),
    [
        ("all", "refund", "x", "name"), ("tool", "", "x", "name"), ("tool", "a\x00b", "x", "name"),
        ("agent", "a" * 201, "x", "name"), ("mission", "a", "x", "scope"), ("all", "", " ", "reason"),
        ("all", "", "a\x00b", "reason"), ("all", "", "a" * 2001, "reason"),
    ],
)  # fmt: skip
def test_a_stop_that_can_not_be_is_refused(scope: str, name: str, reason: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        stops.press(scope, name, reason=reason, by="olivia")
    assert [error["field"] for error in refused.value.errors] == [field]
    assert not Stop.objects.exists()
