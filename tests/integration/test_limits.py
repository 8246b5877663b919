"""Limits over all workers: how many at once, how many in a time, whose turn it is, and that no permit is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from missions.authoring import Context, ToolCall, tool
from missions.engine import alarms, limits, mailbox, permits
from missions.engine.clock import database_now
from missions.engine.permits import Ask
from missions.engine.starting import start
from missions.errors import InvalidInput
from missions.models import Limit, Mission, Permit, Scope, State
from tests import corners, live_worker
from tests.conftest import Clock
from tests.corners import begin, define

pytestmark = pytest.mark.django_db(transaction=True)


class Desk:
    """Counts who is inside, and lets them out when told to."""

    def __init__(self) -> None:
        self.lock, self.inside, self.most, self.order = threading.Lock(), 0, 0, list[str]()
        self.door = threading.Event()

    def call(self, who: str) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.order.append(who)
        assert self.door.wait(live_worker.PATIENCE)
        with self.lock:
            self.inside -= 1


desk = Desk()


@pytest.fixture(autouse=True)
def fresh() -> None:
    """A desk of its own for each test, and a policy that lets the tools through."""
    desk.__init__()  # type: ignore[misc]
    corners.allow()


@tool(name="corner.desk", effect="read")
def ask_desk(call: ToolCall, who: str) -> str:
    """Ask the desk"""
    desk.call(who)
    return who


@tool(name="corner.post", effect="write", retry_safety="keyed")
def post_desk(call: ToolCall, who: str) -> str:
    """Post at the desk"""
    desk.call(who)
    return who


async def visit(m: Context, request: dict[str, Any]) -> Any:
    return {"who": await m.tool(request["tool"], who=request["who"])}


VISIT = define("limits.visit", visit)


async def hold(m: Context, request: dict[str, Any]) -> Any:
    await m.wait_for_signal("go")
    await m.step("held", lambda: desk.call(request["who"]))
    return {}


HOLD = define("limits.hold", hold)


def visits(count: int, tool: str = "corner.desk") -> list[Mission]:
    return [begin(VISIT, tool=tool, who=str(number)) for number in range(count)]


def inside(count: int) -> None:
    """Wait until so many stand at the desk."""
    until = threading.Event()
    for _ in range(int(live_worker.PATIENCE * 100)):
        if len(desk.order) >= count:
            return
        until.wait(0.01)
    raise AssertionError(f"{desk.order} stand at the desk, not {count}")


@pytest.mark.parametrize("name", ["corner.desk", "corner.post"])
def test_no_more_calls_than_the_limit_are_under_way_over_two_workers(name: str) -> None:
    limits.put(Scope.TOOL, name, concurrency=2)
    missions = visits(8, name)
    with live_worker.worker(), live_worker.worker():
        inside(2)
        waiting = [live_worker.wait_until(one, lambda now: _stands(now) or now.pk in _held()) for one in missions]
        parked = [one for one in waiting if one.owner is None]
        assert {one.waits_for for one in parked} == {f"limit:tool:{name}"}
        assert len(parked) == 6
        desk.door.set()
        assert {live_worker.ended(one).state for one in missions} == {State.COMPLETED}
    assert desk.most == 2
    assert not Permit.objects.exists()


def _stands(mission: Mission) -> bool:
    """Whether it was claimed, and has left memory to wait for something."""
    return mission.owner is None and bool(mission.waits_for)


def _held() -> set[int]:
    return set(Permit.objects.filter(granted_at__isnull=False).values_list("mission_id", flat=True))


def test_the_highest_priority_comes_first_then_the_longest_wait() -> None:
    limit = limits.put(Scope.TOOL, "corner.desk", concurrency=0)
    missions = []
    with live_worker.worker():
        for who, priority in (("0", 0), ("1", 0), ("2", 5)):
            missions.append(start(VISIT, {"tool": "corner.desk", "who": who}, priority=priority)[0])
            live_worker.parked(missions[-1], "limit:tool:corner.desk")
        desk.door.set()
        limits.change(limit.pk, concurrency=1)
        for one in missions:
            live_worker.ended(one)
    assert desk.order == ["2", "0", "1"]


def test_a_lifted_limit_lets_all_go_on() -> None:
    limit = limits.put(Scope.TOOL, "*", concurrency=0)
    missions = visits(3)
    desk.door.set()
    with live_worker.worker():
        for one in missions:
            live_worker.parked(one, "limit:tool:*")
        limits.drop(limit.pk)
        for one in missions:
            live_worker.ended(one)


def test_a_rate_lets_through_a_bucketful_and_the_rest_as_it_refills(clock: Clock) -> None:
    limits.put(Scope.TOOL, "corner.desk", rate_count=2, rate_seconds=1000)
    desk.door.set()
    missions, aside = visits(4), begin(HOLD, who="aside")
    with live_worker.worker() as running:
        inside(2)
        live_worker.wait_until(aside, lambda now: Permit.objects.filter(granted_at=None).count() == 2)
        assert len(desk.order) == 2
        clock.advance(1001)
        assert running.incarnation is not None
        alarms.set_alarm(f"permits:limit:{Limit.objects.get().pk}", database_now())
        for one in missions:
            live_worker.ended(one)


def test_a_type_has_no_more_missions_in_memory_than_its_limit_and_parked_ones_hold_no_place() -> None:
    limits.put(Scope.TYPE, HOLD, concurrency=2)
    missions = [begin(HOLD, who=str(number)) for number in range(5)]
    with live_worker.worker(), live_worker.worker():
        for one in missions:
            live_worker.parked(one, "signal:go")  # all of them came by: who waits holds nothing
        for one in missions:
            mailbox.deliver(one.pk, "go", {})
        inside(2)
        assert Mission.objects.filter(owner__isnull=False).count() == 2
        desk.door.set()
        for one in missions:
            live_worker.ended(one)
    assert desk.most == 2


def test_all_types_together_have_a_limit_too() -> None:
    limits.put(Scope.TYPE, "*", concurrency=1)
    missions = [*visits(2), begin(HOLD, who="h")]
    mailbox.deliver(missions[-1].pk, "go", {})
    with live_worker.worker(), live_worker.worker():
        inside(1)
        assert Mission.objects.filter(owner__isnull=False).count() == 1
        desk.door.set()
        for one in missions:
            live_worker.ended(one)
    assert desk.most == 1


def test_a_wait_beyond_the_limits_patience_is_told_once(clock: Clock) -> None:
    limit = limits.put(Scope.TOOL, "corner.desk", concurrency=0, escalate_after_seconds=3600)
    (mission,) = visits(1)
    desk.door.set()
    with live_worker.worker():
        live_worker.parked(mission, "limit:tool:corner.desk")
        clock.advance(3601)
        alarms.set_alarm("nobody:rings", database_now())  # workers look at the clock again
        live_worker.wait_until(mission, lambda now: "observed" in corners.told(now) and now.owner is None)
        limits.drop(limit.pk)
        live_worker.ended(mission)
    assert corners.told(mission).count("observed") == 1


def test_asking_again_is_the_same_permit_and_keeps_its_place() -> None:
    limit = limits.put(Scope.TOOL, "corner.desk", concurrency=1)
    first, second = visits(2)

    def ask(mission: Mission, attempt: int = 1) -> permits.Ticket:
        return permits.acquire(Ask(
            mission_id=mission.pk, attempt=attempt, path="p", tool="corner.desk", limits=(limit.pk,),
        ))

    assert ask(first).granted
    assert not ask(second).granted
    again = ask(first, attempt=2)
    assert (again.granted, again.id) == (True, ask(first).id)
    assert not ask(second).granted


def test_no_permit_is_held_by_a_mission_that_ended_was_paused_or_is_parked(clock: Clock) -> None:
    limit = limits.put(Scope.TOOL, "corner.desk", concurrency=1)
    waiting = begin(VISIT, tool="corner.desk", who="w")
    for state, wake_at in ((State.COMPLETED, None), (State.PAUSED, None), (State.WAITING, None)):
        holder = begin(VISIT, tool="corner.desk", who="h")
        held = permits.acquire(Ask(mission_id=holder.pk, attempt=1, path="p", tool="corner.desk", limits=(limit.pk,)))
        assert held.granted
        Mission.objects.filter(pk=holder.pk).update(state=state, wake_at=wake_at)
        mine = Ask(mission_id=waiting.pk, attempt=1, path="p", tool="corner.desk", limits=(limit.pk,))
        assert not permits.acquire(mine).granted
        permits.settle(f"limit:{limit.pk}", database_now())
        assert permits.acquire(mine).granted
        permits.give_back(waiting.pk, "p", (limit.pk,), "corner.desk")


def test_an_unused_permit_of_a_mission_that_was_taken_over_comes_back_after_a_while(clock: Clock) -> None:
    limit = limits.put(Scope.TOOL, "corner.desk", concurrency=1)
    holder, waiting = visits(2)
    asks = [
        Ask(mission_id=one.pk, attempt=1, path="p", tool="corner.desk", limits=(limit.pk,)) for one in (holder, waiting)
    ]
    assert permits.acquire(asks[0]).granted
    Mission.objects.filter(pk=holder.pk).update(owner=1, attempt=3, state=State.RUNNING)
    permits.settle(f"limit:{limit.pk}", database_now())
    assert not permits.acquire(asks[1]).granted  # its next attempt may still ask for it
    clock.advance(11)
    permits.settle(f"limit:{limit.pk}", database_now())
    assert permits.acquire(asks[1]).granted


@pytest.mark.parametrize(("scope", "name", "values", "field"), [
    ("tool", "a*", {"concurrency": 1}, "name"),
    ("tool", "a", {}, "concurrency"),
    ("tool", "a", {"rate_count": 1}, "rate_seconds"),
    ("type", "a", {"rate_count": 1, "rate_seconds": 1}, "rate_count"),
    ("town", "a", {"concurrency": 1}, "scope"),
    ("tool", "a", {"concurrency": -1}, "concurrency"),
])
def test_a_limit_that_says_nothing_sensible_is_refused(
    scope: str, name: str, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        limits.put(scope, name, **values)
    assert field in [error["field"] for error in refused.value.errors]


def test_a_short_wait_stays_in_memory_and_a_long_one_does_not() -> None:
    async def nap(m: Context, request: dict[str, Any]) -> Any:
        for _ in range(3):
            await m.sleep(0.02)
        return {}

    mission = begin(define("limits.nap", nap))
    with live_worker.worker():
        live_worker.ended(mission)
    mission.refresh_from_db()
    assert mission.attempt == 1  # one claim for three sleeps
    assert corners.told(mission) == ["sleep", "slept"] * 3 + ["completed"]


def test_who_is_cut_off_in_a_short_wait_goes_on_elsewhere() -> None:
    gate = threading.Event()

    async def nap(m: Context, request: dict[str, Any]) -> Any:
        await m.sleep(0.9)
        gate.set()
        return {}

    mission = begin(define("limits.cut", nap))
    with live_worker.worker():
        live_worker.wait_until(mission, lambda now: "sleep" in corners.told(now))
    assert not mission.ended
    with live_worker.worker():
        live_worker.ended(mission)
    assert gate.is_set()


def test_the_command_line_sets_lists_and_lifts(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("limit", "set", "tool", "corner.desk", "--concurrency", "2", "--rate", "100/60")
    call_command("limit", "list")
    assert "100/60s" in capsys.readouterr().out
    call_command("limit", "delete", "tool", "corner.desk")
    assert not Limit.objects.exists()
    with pytest.raises(CommandError):
        call_command("limit", "set", "type", "x", "--rate", "1/1")
