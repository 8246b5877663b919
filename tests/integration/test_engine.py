"""The engine on a real database with a real worker: recording, replay, waiting, and what is refused."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from missions.authoring import Context, RetryPolicy, Verdict, mission
from missions.engine import feed, history, registry
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.errors import InvalidInput, KeyReused, MissionEnded, UnknownType
from missions.models import Entry, Kind, Mission, Signal
from tests import corners, live_worker
from tests.conftest import Clock

pytestmark = pytest.mark.django_db(transaction=True)
done: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _forget() -> None:
    done.clear()


def define(name: str, body: Callable[[Context, dict[str, Any]], Awaitable[Any]]) -> str:
    """Register a mission type, or another function under its name as a deploy would."""

    async def run(m: Context, request: dict[str, Any]) -> Any:
        return await body(m, request)

    registry.register(name, 1, "", run)
    return name


def begin(name: str, **request: Any) -> Mission:
    return start(name, request)[0]


def kinds(mission: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(mission.pk)]


async def count(name: str) -> int:
    """Counted."""
    done[name] += 1
    return done[name]


def halve(amount: Decimal) -> Decimal:
    """Halved the amount."""
    return amount / 2


def test_recorded_step_never_runs_again() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        first = await m.step("count", count, "step")
        answer = await m.wait_for_signal("go")
        half = await m.step("halve", halve, Decimal("3.00"))
        return Verdict("done", data={"first": first, "answer": answer, "half": half})

    name = define("once", body)
    with live_worker.worker():
        run = live_worker.parked(begin(name), "signal:go")
        assert run.state == "waiting" and run.owner is None
        deliver(run.pk, "go", {"by": "post"})
        live_worker.ended(run)
    assert done["step"] == 1
    assert run.outcome.data == {"first": 1, "answer": {"by": "post"}, "half": "1.50"}
    assert kinds(run) == ["started", "step", "await", "signal", "step", "completed"]
    assert history.verify(run).ok


def test_result_comes_back_in_its_declared_type_after_replay() -> None:
    seen: list[Any] = []

    async def body(m: Context, request: dict[str, Any]) -> None:
        half = await m.step("halve", halve, Decimal("5"))
        seen.append(half)
        await m.wait_for_signal("go")

    name = define("typed", body)
    with live_worker.worker():
        run = live_worker.parked(begin(name), "signal:go")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    assert seen == [Decimal("2.5"), Decimal("2.5")] and all(type(item) is Decimal for item in seen)


def test_signal_before_the_wait_counts_and_the_same_key_counts_once() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return Verdict("done", data={"got": [await m.wait_for_signal("go"), await m.wait_for_signal("go", timeout=0)]})

    run = begin(define("early", body))
    assert deliver(run.pk, "go", {"n": 1}, key="k") is True
    assert deliver(run.pk, "go", {"n": 2}, key="k") is False
    with live_worker.worker():
        live_worker.ended(run)
    assert run.outcome.data == {"got": [{"n": 1}, None]}
    assert Signal.objects.filter(mission_id=run.pk).count() == 1
    with pytest.raises(MissionEnded):
        deliver(run.pk, "go", {"n": 3})


def test_four_hours_pass_on_the_database_clock(clock: Clock) -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        before = await m.now()
        await m.sleep(dt.timedelta(hours=4))
        return Verdict("done", data={"hours": ((await m.now()) - before).total_seconds() / 3600})

    name = define("nap", body)
    with live_worker.worker():
        run = live_worker.parked(begin(name), "timer")
        assert run.state == "sleeping"
        clock.advance(hours=4)
        feed.announce_due()
        live_worker.ended(run)
    assert 4 <= run.outcome.data["hours"] < 4.1


def test_branches_have_paths_of_their_own_and_replay_in_recorded_order() -> None:
    async def strand(m: Context, name: str, first: bool) -> str:
        if first:
            await m.wait_for_signal("slow")
        await m.step("count", count, name)
        return name

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        names = await m.gather(strand(m, "a", True), strand(m, "b", False))
        await m.wait_for_signal("go")
        return Verdict("done", data={"names": names})

    name = define("gather", body)
    with live_worker.worker():
        run = live_worker.parked(begin(name), "signal:slow")
        deliver(run.pk, "slow", {})
        live_worker.parked(run, "signal:go")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    paths = [entry.path for entry in history.entries(run.pk) if entry.kind == Kind.STEP]
    assert paths == ["gather#1/1/count#1", "gather#1/0/count#1"]
    assert run.outcome.data == {"names": ["a", "b"]}
    assert done == {"a": 1, "b": 1}


def test_finally_block_of_a_parked_mission_can_do_nothing() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        try:
            await m.wait_for_signal("never")
        finally:
            await m.step("count", count, "finally")

    name = define("finally", body)
    with live_worker.worker():
        run = live_worker.parked(begin(name), "signal:never")
    assert done["finally"] == 0 and kinds(run) == ["started", "await"]


@pytest.mark.parametrize("change", ["name", "input", "fewer"])
def test_changed_code_pauses_the_mission_and_runs_nothing(change: str) -> None:
    async def before(m: Context, request: dict[str, Any]) -> None:
        await m.step("count", count, "one")
        await m.wait_for_signal("go")

    async def after(m: Context, request: dict[str, Any]) -> None:
        if change != "fewer":
            await m.step("renamed" if change == "name" else "count", count, "two")
        await m.wait_for_signal("go")

    name = define(f"changed-{change}", before)
    with live_worker.worker():
        run = live_worker.parked(begin(name), "signal:go")
        define(name, after)
        deliver(run.pk, "go", {})
        live_worker.parked(run, "decision:")  # people are asked how it goes on
    assert run.state == "paused"
    assert run.reason == "divergence" and run.owner is None and run.wake_at is None
    assert done == {"one": 1}
    assert [entry.payload["reason"] for entry in history.entries(run.pk) if entry.kind == "paused"] == ["divergence"]
    assert history.verify(run).ok


def test_context_used_from_a_foreign_task_is_refused() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        await asyncio.create_task(m.step("count", count, "stray"))

    name = define("stray", body)
    with live_worker.worker():
        run = live_worker.ended(begin(name))
    assert run.state == "failed" and "misused_context" in run.outcome.error and done["stray"] == 0


def test_failing_step_is_retried_with_backoff_then_fails_the_mission() -> None:
    async def fail() -> None:
        """Failed."""
        done["tries"] += 1
        raise OSError("no such luck")

    async def body(m: Context, request: dict[str, Any]) -> None:
        await m.step("fail", fail, retry=RetryPolicy(attempts=3, first_seconds=0.01))

    name = define("luckless", body)
    with live_worker.worker():
        run = live_worker.ended(begin(name))
    assert done["tries"] == 3
    assert kinds(run) == ["started", "backoff", "backoff", "step_failed", "failed"]
    assert "no such luck" in run.outcome.error


def test_row_that_the_database_refuses_stops_its_own_mission_only() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        await m.step(request["what"], count, request["what"])
        return Verdict("done")

    with connection.cursor() as cursor:
        cursor.execute("alter table missions_journal add constraint no_poison check (path <> 'poison#1')")
    try:
        name = define("poison", body)
        runs = [begin(name, what=step) for step in ("fine", "poison", "good")]
        with live_worker.worker():
            live_worker.ended(runs[0])
            live_worker.ended(runs[2])
            bad = live_worker.wait_until(runs[1], lambda now: now.state == "paused")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("alter table missions_journal drop constraint no_poison")
    assert bad.reason == "refused by the database" and kinds(bad) == ["started", "paused"]
    assert all(history.verify(run).ok for run in runs)


def test_fenced_attempt_records_nothing() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        await m.step("usurp", usurp, request["mission"])
        await m.step("count", count, "after")

    async def usurp(_: str) -> None:
        """Raised the attempt behind the worker's back."""
        if not done["usurped"]:
            done["usurped"] += 1
            await asyncio.to_thread(corners.unguarded, _usurp)

    def _usurp() -> None:
        with connection.cursor() as cursor:
            cursor.execute("update missions_mission set attempt = attempt + 10, owner = null, wake_at = missions_now()")
        connection.close()
        feed.announce_due()
        connection.close()

    name = define("fenced", body)
    with live_worker.worker():
        run = live_worker.ended(begin(name, mission="x"))
    attempts = {entry.attempt for entry in history.entries(run.pk)[1:]}
    assert attempts == {12} and done["after"] == 1  # 1 was raised to 11; the next claim made it 12


def test_worker_that_lost_its_lane_starts_over_and_the_mission_goes_on() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        await m.step("count", count, "before")
        await m.step("cut", cut)
        await m.step("count", count, "after")

    async def cut() -> None:
        """Ended the lane's session."""
        if not done["cut"]:
            done["cut"] += 1
            await asyncio.to_thread(corners.unguarded, _cut)

    def _cut() -> None:
        with connection.cursor() as cursor:
            cursor.execute("select pg_terminate_backend(backend_pid) from missions_worker where dead_at is null")
        connection.close()

    name = define("cut", body)
    with live_worker.worker():
        run = live_worker.ended(begin(name))
    assert run.state == "completed" and done["before"] == 1 and done["after"] == 1
    assert history.verify(run).ok


def test_same_key_gives_the_same_mission_and_another_request_is_refused() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None: ...

    name = define("keyed", body)
    first, created = start(name, {"a": 1}, key="k")
    again, repeated = start(name, {"a": 1}, key="k")
    assert created and not repeated and first.pk == again.pk
    with pytest.raises(KeyReused):
        start(name, {"a": 2}, key="k")
    with pytest.raises(UnknownType):
        start("nobody-wrote-this", {})
    with pytest.raises(InvalidInput):
        start(name, {"a": 1}, title="x" * 201)


def test_large_result_goes_to_the_store_and_comes_back() -> None:
    async def big() -> str:
        """Made a large text."""
        return "x" * 100_000

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        text = await m.step("big", big)
        await m.wait_for_signal("go")
        return Verdict("done", data={"length": len(text)})

    name = define("big", body)
    with live_worker.worker():
        run = live_worker.parked(begin(name), "signal:go")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    row = Entry.objects.get(mission_id=run.pk, seq=2)
    assert row.payload is None and row.stored is not None
    assert run.outcome.data == {"length": 100_000} and history.verify(run).ok


def test_changed_payload_missing_entry_and_cut_tail_are_found() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        for name in "abc":
            await m.step(name, count, name)

    name = define("tamper", body)
    with live_worker.worker():
        run = live_worker.ended(begin(name))
    with connection.cursor() as cursor:
        with pytest.raises(Exception, match="append-only"):
            cursor.execute("update missions_journal set payload = 'x' where mission_id = %s and seq = 3", [run.pk])
        cursor.execute("set session_replication_role = replica")  # a superuser's way around the trigger
        cursor.execute("update missions_journal set payload = '{}' where mission_id = %s and seq = 3", [run.pk])
        assert history.verify(run).broken_at == 3
        cursor.execute("delete from missions_journal where mission_id = %s and seq >= 3", [run.pk])
        cursor.execute("set session_replication_role = origin")
    assert history.verify(run).broken_at == 3


def test_refused_author_leaves_a_verdict_not_a_failure() -> None:
    @mission("write-without-policy", version=1)
    async def body(m: Context, request: dict[str, Any]) -> None:
        await m.approval("sign-off", "May this go on?", tiers=[{"group": "supervisors", "quorum": 1}])

    with live_worker.worker():
        run = live_worker.parked(begin("write-without-policy"), "decision:")
    (decision,) = run.decisions.all()
    assert decision.sentence == "May this go on?" and decision.state == "open"
