"""Missions that start missions: once each, joined durably, with a failure policy of their own."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db import connection, transaction

from missions.authoring import ChildFailed, ChildHandle, Context, SpawnRefused, Verdict
from missions.engine import alarms, children, controls, history, registry
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.models import Alarm, Child, Entry, Mission, Signal, State, Timeline
from tests import live_worker
from tests.conftest import Person

pytestmark = pytest.mark.django_db(transaction=True)
Body = Callable[[Context, dict[str, Any]], Awaitable[Any]]


def define(name: str, body: Body) -> str:
    """Register a mission type, or another function under its name as a deploy would."""

    async def run(m: Context, request: dict[str, Any]) -> Any:
        return await body(m, request)

    registry.register(name, 1, name.capitalize(), run)
    return name


async def leaf(m: Context, request: dict[str, Any]) -> Verdict:
    if request.get("wait"):
        await m.wait_for_signal("go")
    if request.get("fail"):
        raise ValueError(request["fail"])
    return Verdict("grown", summary="A leaf.", data={"number": request["number"]})


LEAF = define("leaf", leaf)


def begin(name: str, **request: Any) -> Mission:
    return start(name, request)[0]


def kinds(mission: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(mission.pk)]


def child_of(parent: Mission) -> Mission:
    return Mission.objects.get(parent=parent.pk)


def test_join_returns_the_childs_verdict_and_the_journal_tells_of_both(person: Person) -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        child = await m.spawn(LEAF, {"number": 7}, title="Grow one")
        first, again = await m.join(child), await m.join(child.uid)
        await m.wait_for_signal("enough")  # a mission that has ended would not be told any more
        return Verdict("done", data={"number": first.data["number"], "word": first.verdict, "same": first == again})

    ann = person("ann")
    parent, _ = start(define("tree", body), {}, started_by=ann)
    with live_worker.worker():
        live_worker.wait_until(parent, lambda now: tellings(now) == 1)
        deliver(parent.pk, "enough", {})
        live_worker.ended(parent)
    child = child_of(parent)
    assert parent.outcome.data == {"number": 7, "word": "grown", "same": True}
    assert kinds(parent) == ["started", "spawned", *["await", "signal"] * 3, "completed"]
    assert history.entries(parent.pk)[1].payload == {
        "child": str(child.uid), "type": LEAF, "title": "Grow one", "key": None, "on_parent_end": "keep",
    }
    assert (child.brief.title, child.brief.started_by, child.brief.started_via) == ("Grow one", ann, "mission")
    assert history.verify(parent).ok and history.verify(child).ok
    assert tellings(parent) == 1


def tellings(parent: Mission) -> int:
    """How often it was told that a child has ended."""
    return Signal.objects.filter(mission_id=parent.pk, name__startswith="child:").count()


def test_parent_parks_until_its_child_ends_and_another_worker_goes_on_with_it() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return await m.join(await m.spawn(LEAF, {"number": 1, "wait": True}))

    name = define("patient", body)
    with live_worker.worker():
        parent = live_worker.parked(begin(name), "child:")
        child = live_worker.parked(child_of(parent), "signal:go")
        assert parent.waits_for == f"child:{child.uid}" and parent.state == "waiting"
    deliver(child.pk, "go", {})
    with live_worker.worker():
        live_worker.ended(parent)
    assert (parent.outcome.verdict, parent.outcome.data) == ("grown", {"number": 1})


@pytest.mark.parametrize("caught", [True, False])
def test_failed_child_raises_in_its_parent(caught: bool) -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        child = await m.spawn(LEAF, {"number": 1, "fail": "no light"})
        try:
            return await m.join(child)
        except ChildFailed as error:
            if not request["caught"]:
                raise
            return Verdict("replanted", data={"state": error.state, "error": error.error})

    name = define("gardener", body)
    with live_worker.worker():
        parent = live_worker.ended(begin(name, caught=caught))
    if caught:
        assert parent.outcome.data == {"state": "failed", "error": "ValueError: no light"}
    else:
        assert parent.state == State.FAILED
        assert "child_failed: The child failed: ValueError: no light" in parent.outcome.error


def test_join_all_waits_for_every_child_and_gives_their_verdicts_in_order() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        handles = [await m.spawn(LEAF, {"number": number}) for number in range(20)]
        return Verdict("done", data={"numbers": [end.data["number"] for end in await m.join_all(handles)]})

    parent = begin(define("forest", body))
    with live_worker.worker():
        live_worker.ended(parent)
    assert parent.outcome.data == {"numbers": list(range(20))}
    assert history.verify(parent).ok


def test_child_that_was_started_before_a_crash_is_found_and_not_started_again() -> None:
    """The worker dies between the start of the child and its entry: the row of the child is all that is there."""

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return await m.join(await m.spawn(LEAF, {"number": 3}))

    parent = begin(define("cut", body))
    spawn = children.Spawn(
        parent_id=parent.pk, parent_uid=parent.uid, started_by_id=None, timeline=1, chapter=1, path="spawn#1",
        type=LEAF, input={"number": 3}, title="", key=None, after=(), on_failure="fail", priority=0,
        on_parent_end="keep",
    )
    uid = children.start_child(spawn)
    assert children.spawned_after(parent.pk, [2, 3]) == [child_of(parent).pk]  # though no entry tells of it
    with live_worker.worker():
        live_worker.ended(parent)
    assert child_of(parent).uid == uid and parent.outcome.data == {"number": 3}


def test_same_key_names_one_child_and_another_request_under_it_is_refused() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        first, second = [await m.spawn(LEAF, {"number": 1}, key="k") for _ in range(2)]
        try:
            await m.spawn(LEAF, {"number": 2}, key="k")
        except SpawnRefused as error:
            await m.wait_for_signal("go")  # the refusal is recorded: replay comes to it again
            return Verdict("done", data={"same": first.uid == second.uid, "refused": str(error)})
        return Verdict("wrong")

    name = define("keyed-parent", body)
    with live_worker.worker():
        parent = live_worker.parked(begin(name), "signal:go")
    deliver(parent.pk, "go", {})
    with live_worker.worker():
        live_worker.ended(parent)
    assert parent.outcome.data["same"] is True and "another request" in parent.outcome.data["refused"]
    assert Mission.objects.filter(parent=parent.pk).count() == 1


def test_spawn_is_refused_where_the_start_would_be() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        refused = []
        for after in ([m.mission_id], ["00000000-0000-0000-0000-000000000000"]):
            try:
                await m.spawn(LEAF, {"number": 1}, after=after)
            except SpawnRefused as error:
                refused.append(str(error))
        try:
            await m.join(ChildHandle("00000000-0000-0000-0000-000000000000", LEAF, "Nobody's"))
        except SpawnRefused as error:
            refused.append(str(error))
        return Verdict("done", data={"refused": refused})

    parent = begin(define("clumsy", body))
    with live_worker.worker():
        live_worker.ended(parent)
    own, unknown, stranger = parent.outcome.data["refused"]
    assert "part of" in own and "no mission 0000" in unknown and "no child 0000" in stranger
    assert not Child.objects.exists()


def test_child_not_to_outlive_its_parent_is_asked_to_cancel_and_others_are_not() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        await m.spawn(LEAF, {"number": 1, "wait": True}, on_parent_end="cancel")
        await m.spawn(LEAF, {"number": 2, "wait": True})
        return Verdict("done")

    name = define("leaving", body)
    with live_worker.worker():
        parent = live_worker.ended(begin(name))
        going, staying = Mission.objects.filter(parent=parent.pk).order_by("pk")
        live_worker.ended(going)
        live_worker.parked(staying, "signal:go")
    assert going.state == State.CANCELLED and "parent has ended" in going.outcome.summary
    assert not staying.ended


def test_spawned_after_names_the_running_children_of_the_entries_left_behind() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        for number in range(4):
            await m.spawn(LEAF, {"number": number, "wait": number != 2})
        await m.wait_for_signal("go")
        return Verdict("done")

    name = define("rolled", body)
    with live_worker.worker():
        parent = live_worker.parked(begin(name), "signal:go")
        third = Mission.objects.filter(parent=parent.pk).order_by("pk")[2]
        live_worker.ended(third)
    ids = list(Mission.objects.filter(parent=parent.pk).order_by("pk").values_list("pk", flat=True))
    seqs = list(Entry.objects.filter(mission_id=parent.pk, kind="spawned").values_list("seq", flat=True))
    assert children.spawned_after(parent.pk, range(seqs[1], 100)) == [ids[1], ids[3]]
    assert children.spawned_after(parent.pk, range(seqs[0], 100)) == [ids[0], ids[1], ids[3]]
    assert children.spawned_after(parent.pk, []) == []


def test_mission_that_nobody_waits_for_leaves_no_alarm() -> None:
    with live_worker.worker():
        live_worker.ended(begin(LEAF, number=1))
    assert not Alarm.objects.filter(what__startswith="mission.").exists()


def test_end_whose_row_is_held_is_told_once_the_row_is_free() -> None:
    """The lane skips a row that is locked, and tries again: the alarm comes with the release, never without it."""
    lifted = threading.Event()

    def lift() -> int:
        """Lifted."""
        assert lifted.wait(live_worker.PATIENCE)
        return 5

    async def slow(m: Context, request: dict[str, Any]) -> Verdict:
        return Verdict("lifted", data={"number": await m.step("lift", lift)})

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return await m.join(await m.spawn(slow_type, {}))

    slow_type, name = define("slow", slow), define("held", body)
    with live_worker.worker():
        parent = live_worker.parked(begin(name), "child:")
        child = live_worker.wait_until(child_of(parent), lambda now: now.state == "running")
        with transaction.atomic():
            Mission.objects.select_for_update().get(pk=child.pk)
            lifted.set()
            live_worker.wait_until(child, lambda now: kinds(now)[-1] == "completed")
            child.refresh_from_db()
            assert child.state == "running" and not Alarm.objects.filter(what__startswith="mission.").exists()
        live_worker.ended(parent)
    assert parent.outcome.data == {"number": 5}
    assert alarms.ring_due() == 0
    with connection.cursor() as cursor:  # rung again by hand, it tells nobody twice
        cursor.execute("update missions_alarm set rung_at = null")
    assert alarms.ring_due() == 1
    assert Signal.objects.filter(mission_id=parent.pk).count() == 1


def test_retry_keeps_the_child_that_was_started_beside_the_failed_call() -> None:
    """Nothing that succeeded repeats: the new timeline finds the child of the old one, whether it runs or has ended."""
    broken = [True]

    def fragile() -> str:
        """Failed the first time."""
        if broken:
            raise ValueError("broken the first time")
        return "whole"

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        async def late() -> str:
            await m.wait_for_signal("fail")
            return await m.step("fragile", fragile)

        going, done, _ = await m.gather(
            m.spawn(LEAF, {"number": 1, "wait": True}), m.spawn(LEAF, {"number": 2}, key="done"), late(),
        )
        ends = await m.join_all([going, done])
        return Verdict("done", data={"numbers": [end.data["number"] for end in ends]})

    name = define("retried-parent", body)
    with live_worker.worker():
        parent = live_worker.parked(begin(name), "signal:fail")
        rows = Child.objects.filter(parent_id=parent.pk).order_by("path")  # whichever of them was started first
        going, done = (Mission.objects.get(pk=row.child_id) for row in rows)
        live_worker.ended(done)
        deliver(parent.pk, "fail", {})
        live_worker.wait_until(parent, lambda now: now.state == "failed")
        broken.clear()
        controls.request(parent.pk, "retry", by="olivia")
        deliver_again = live_worker.wait_until(parent, lambda now: now.timeline == 2 and now.waits_for != "")
        if deliver_again.waits_for == "signal:fail":
            deliver(parent.pk, "fail", {})
        live_worker.parked(parent, "child:")
        deliver(going.pk, "go", {})
        live_worker.ended(parent)
    assert parent.outcome.data == {"numbers": [1, 2]}
    assert Mission.objects.filter(parent=parent.pk).count() == 2


def test_retry_starts_anew_a_child_that_failed() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        async def one() -> Verdict:
            return await m.join(await m.spawn(LEAF, {"number": 1, "fail": "withered"}))

        await m.gather(one())
        return Verdict("wrong")

    name = define("replanted", body)
    with live_worker.worker():
        parent = live_worker.wait_until(begin(name), lambda now: now.state == "failed")
    spawn = children.Spawn(
        parent_id=parent.pk, parent_uid=parent.uid, started_by_id=None, timeline=2, chapter=1,
        path=history.entries(parent.pk)[1].path, type=LEAF, input={"number": 1, "fail": "withered"}, title="", key=None,
        after=(), on_failure="fail", priority=0, on_parent_end="keep",
    )
    Timeline.objects.create(
        mission_id=parent.pk, number=2, parent=1, to_seq=1, opened_seq=9, kept=[(1, None)], seed=parent.uid,
        verb="retry",
    )
    old = child_of(parent).uid
    assert children.start_child(spawn) != old and Mission.objects.filter(parent=parent.pk).count() == 2
