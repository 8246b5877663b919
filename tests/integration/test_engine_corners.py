"""Corners of the engine: what leaks out of authors' code, what is cut at a bad moment, what must not be waited for."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection

from approvals import votes
from approvals.policies import document, versions
from missions.authoring import Context, OutcomeUnknown, ToolCall, ToolFailed, Verdict, tool
from missions.engine import alarms, feed, history, registry
from missions.engine.clock import database_now
from missions.engine.dsn import conninfo
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.models import Alarm, Effect, EffectState, Mission
from missions.models import Worker as WorkerRow
from tests import live_worker
from tests.conftest import Clock

pytestmark = pytest.mark.django_db(transaction=True)
done: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    done.clear()
    rules = [{"name": "free", "scope": {"tool": "corner.*"}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "corner", "mode": "enforce", "rules": rules}), activate=True, via="test")


def define(name: str, body: Callable[[Context, dict[str, Any]], Awaitable[Any]]) -> str:
    async def run(m: Context, request: dict[str, Any]) -> Any:
        return await body(m, request)

    registry.register(name, 1, "", run)
    return name


def begin(name: str, **request: Any) -> Mission:
    return start(name, request)[0]


def told(mission: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(mission.pk)][1:]


def states(mission: Mission) -> list[str]:
    return list(Effect.objects.filter(mission_id=mission.pk).order_by("seq").values_list("state", flat=True))


# -- What leaks out of authors' code -----------------------------------------------------------------------------------


def stop_iteration() -> None:
    """Looked for what is not there."""
    next(iter(()))


async def cancelled() -> None:
    """Awaited a task that was cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task


def leave() -> None:
    """Called exit."""
    raise SystemExit(3)


@pytest.mark.parametrize("step", [stop_iteration, cancelled, leave])
@pytest.mark.parametrize("branched", [False, True])
def test_step_that_raises_what_is_no_plain_error_ends_its_mission_only(
    step: Callable[[], Any], branched: bool
) -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        call = m.step("odd", step)
        await (m.gather(call) if branched else call)

    name = define(f"leak-{step.__name__}-{branched}", body)
    with live_worker.worker() as running:
        run = begin(name)
        live_worker.wait_until(run, lambda now: now.ended)
        assert running.incarnation is not None and not running.incarnation.lost
    assert run.state == "failed"


def test_cancellation_that_a_mission_raises_itself_fails_it() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        await cancelled()

    run = begin(define("self-cancelled", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.state == "failed"


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("error", [ValueError("caf\udce9"), Mute()], ids=["not-unicode", "wordless"])
def test_error_whose_text_can_not_be_written_fails_the_mission_not_the_worker(error: Exception) -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        raise error

    run = begin(define("wordless", body))
    with live_worker.worker() as running:
        live_worker.ended(run)
        assert running.incarnation is not None and not running.incarnation.lost
    assert run.state == "failed" and run.outcome.error


def test_verdict_whose_text_can_not_be_written_fails_the_mission() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return Verdict("done", summary="caf\udce9")

    run = begin(define("bad-summary", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.state == "failed" and "unserialisable" in run.outcome.error


# -- Effects never vanish ----------------------------------------------------------------------------------------------


class Bank:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fault: Callable[[], Any] = lambda: None

    def call(self, key: str) -> dict[str, Any]:
        self.calls.append(key)
        self.fault()
        return {"reference": f"R{len(self.calls)}"}


bank = Bank()


@pytest.fixture(autouse=True)
def _new_bank() -> None:
    bank.__init__()  # type: ignore[misc]


@tool(name="corner.manual", effect="write", retry_safety="manual")
async def manual(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return bank.call(call.idempotency_key)


@tool(name="corner.keyed", effect="write", retry_safety="keyed", key_ttl=60)
async def keyed(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return bank.call(call.idempotency_key)


async def pay(m: Context, request: dict[str, Any]) -> Verdict:
    receipt = await m.tool(request["tool"], amount=1)
    return Verdict("paid", data=receipt)


def raising(error: BaseException) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


@pytest.mark.parametrize(
    "error", [ToolFailed("caf\udce9"), OutcomeUnknown("caf\udce9"), SystemExit(1), asyncio.CancelledError()],
    ids=["failed", "unknown", "exit", "cancelled"],
)
def test_effect_whose_tool_fails_oddly_is_settled_or_in_doubt(error: BaseException) -> None:
    bank.fault = raising(error)
    run = begin(define("pay-oddly", pay), tool="corner.manual")
    with live_worker.worker() as running:
        if isinstance(error, ToolFailed):
            live_worker.ended(run)
            assert states(run) == [EffectState.NOT_DONE]
        else:
            live_worker.parked(run, "decision:")
            assert states(run) == [EffectState.IN_DOUBT]
        assert running.incarnation is not None and not running.incarnation.lost
    assert len(bank.calls) == 1


def test_effect_under_an_authors_own_time_out_does_not_vanish() -> None:
    released = threading.Event()

    @tool(name="corner.slow", effect="write", retry_safety="manual")
    async def slow(call: ToolCall, amount: int) -> dict[str, Any]:
        """Pay"""
        await asyncio.to_thread(released.wait, live_worker.PATIENCE)
        return bank.call(call.idempotency_key)

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        try:
            async with asyncio.timeout(1):
                await m.tool("corner.slow", amount=1)
        except TimeoutError:
            released.set()
            return Verdict("gave up")
        return Verdict("paid")

    run = begin(define("impatient", body))
    with live_worker.worker():
        live_worker.wait_until(run, lambda now: now.ended or now.state == "paused")
        released.set()
    assert run.state == "paused" and run.reason == "cut off" and states(run) == [EffectState.INTENDED]
    assert run.wake_at is None


def test_tool_that_changed_its_schema_under_an_open_intent_does_not_lose_the_effect() -> None:
    entered = threading.Event()
    stop = threading.Event()

    @tool(name="corner.changing", effect="write", retry_safety="manual")
    async def first(call: ToolCall, amount: int) -> dict[str, Any]:
        """Pay"""
        entered.set()
        await asyncio.to_thread(stop.wait, live_worker.PATIENCE)
        return {}

    name = define("changing", lambda m, request: m.tool("corner.changing", amount=1))
    with live_worker.worker() as running:
        run = begin(name)
        assert entered.wait(live_worker.PATIENCE)

        async def second(call: ToolCall, amount: str) -> dict[str, Any]:
            """Pay"""
            return {}

        second.__qualname__ = first.__qualname__
        tool(name="corner.changing", effect="write", retry_safety="manual")(second)
        lose(running)
        live_worker.wait_until(run, lambda now: now.ended or now.state == "paused")
        stop.set()
    assert run.state == "paused" and states(run) != []


def lose(running: Any) -> None:
    current = running.incarnation
    current._loop.call_soon_threadsafe(current._lose, RuntimeError("the test cuts the lane"))


def test_key_that_the_other_side_has_forgotten_is_not_used_again(clock: Clock) -> None:
    bank.fault = raising(OutcomeUnknown("lost"))
    run = begin(define("forgotten", pay), tool="corner.keyed")
    with live_worker.worker():
        live_worker.parked(run, "tool:")
        calls = len(bank.calls)
        bank.fault = lambda: None
        clock.advance(seconds=3600)
        feed.announce_due()
        live_worker.parked(run, "decision:")
    assert len(bank.calls) == calls


def test_outcome_that_could_not_be_recorded_is_kept_as_evidence(other_session: psycopg.Connection[Any]) -> None:
    @tool(name="corner.cutting", effect="write", retry_safety="manual")
    async def cutting(call: ToolCall, amount: int) -> dict[str, Any]:
        """Pay"""
        await asyncio.to_thread(other_session.execute, "lock table missions_journal in share mode")
        return bank.call(call.idempotency_key)

    run = begin(define("cutting", pay), tool="corner.cutting")
    with live_worker.worker():
        end_session_that_waits("standfast lane%")
        other_session.rollback()
        live_worker.ended(run)
    assert len(bank.calls) == 1 and run.outcome.verdict == "paid" and "answered" not in told(run)


def end_session_that_waits(name: str, function: str = "pg_terminate_backend") -> None:
    """End (or only cancel) the session of this name that waits for a lock."""
    sql = f"select {function}(pid) from pg_stat_activity where application_name like %s and wait_event_type = 'Lock'"
    with psycopg.connect(conninfo("standfast test killer"), autocommit=True) as killer:
        for _ in range(400):
            if killer.execute(sql, [name]).fetchall():
                return
            threading.Event().wait(0.02)
    raise AssertionError(f"no session {name} waits")


def test_late_answer_that_comes_while_another_branch_runs_settles_the_doubt() -> None:
    release = threading.Event()

    async def other(m: Context) -> None:
        await m.step("long", lambda: release.wait(live_worker.PATIENCE))
        await m.wait_for_signal("never-needed", timeout=0)

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        receipt, _ = await m.gather(m.tool("corner.manual", amount=1), other(m))
        return Verdict("paid", data=receipt)

    bank.fault = raising(OutcomeUnknown("lost"))
    run = begin(define("two-branches", body))
    with live_worker.worker():
        live_worker.wait_until(run, lambda now: now.decisions.exists())
        late = {"state": "done", "result": {"reference": "late"}}
        deliver(run.pk, f"effect:{bank.calls[0]}", late, key="late")
        release.set()
        live_worker.ended(run)
    assert run.outcome.data == {"reference": "late"}


def test_worker_that_drains_right_after_an_intent_leaves_no_doubt() -> None:
    name, flushes = define("draining", pay), 0
    with live_worker.worker() as running:
        live_worker.ended(begin(name, tool="corner.manual"))
        current = running.incarnation
        assert current is not None
        flushed = current.lane.on_flushed

        def drain_at_the_intent(missions: set[int]) -> None:
            nonlocal flushes
            flushes += 1
            if flushes == 2:
                current.draining = True
            flushed(missions)

        current.lane.on_flushed = drain_at_the_intent
        run = begin(name, tool="corner.manual")
        live_worker.wait_until(run, lambda now: now.ended or (now.owner is None and now.attempt > 0))
    with live_worker.worker():
        live_worker.wait_until(run, lambda now: now.ended or now.waits_for.startswith("decision"))
    assert "doubt" not in told(run) and len(bank.calls) == 2  # one a mission


def test_queued_call_of_a_fenced_worker_is_not_started() -> None:
    blocked, release = threading.Semaphore(0), threading.Event()

    @tool(name="corner.threaded", effect="write", retry_safety="manual")
    def threaded(call: ToolCall, amount: int) -> dict[str, Any]:
        """Pay"""
        return bank.call(call.idempotency_key)

    def block() -> None:
        """Blocked a thread."""
        blocked.release()
        release.wait(live_worker.PATIENCE)

    blocker, name = define("blocker", lambda m, request: m.step("block", block)), define("queued", pay)
    with live_worker.worker(concurrency=64) as running:
        for _ in range(8):
            begin(blocker)
        for _ in range(8):
            blocked.acquire(timeout=live_worker.PATIENCE)
        run = begin(name, tool="corner.threaded")
        live_worker.wait_until(run, lambda now: Effect.objects.filter(mission_id=now.pk).exists())
        threading.Event().wait(0.5)
        lose(running)
        threading.Event().wait(0.2)
        release.set()
        live_worker.wait_until(run, lambda now: now.ended or now.waits_for.startswith("decision"))
        threading.Event().wait(0.5)
    assert bank.calls == []


def test_blocked_steps_do_not_hold_up_rulings_and_alarms() -> None:
    blocked, release = threading.Semaphore(0), threading.Event()

    def block() -> None:
        """Blocked a thread."""
        blocked.release()
        release.wait()

    blocker, name = define("blocker-2", lambda m, request: m.step("block", block)), define("not-held-up", pay)
    with live_worker.worker(concurrency=64):
        for _ in range(12):
            begin(blocker)
        for _ in range(8):
            blocked.acquire(timeout=live_worker.PATIENCE)
        try:
            live_worker.ended(begin(name, tool="corner.manual"))
        finally:
            release.set()


# -- People ------------------------------------------------------------------------------------------------------------


def test_two_questions_about_the_same_path_do_not_supersede_each_other(sam: User) -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        ask = [m.approval(f"ask-{n}", f"May {n}?", details={"path": "report.pdf"}) for n in (1, 2)]
        await m.gather(*ask)

    run = begin(define("same-path", body))
    with live_worker.worker():
        live_worker.wait_until(run, lambda now: now.decisions.count() == 2 and now.owner is None)
        for decision in run.decisions.order_by("pk"):
            assert decision.state == "open"
            votes.cast(decision.pk, sam, "approve", decision.digest, channel="console")
        live_worker.ended(run)
    assert run.outcome.verdict == "done"


# -- The lane, the timer, the heart ------------------------------------------------------------------------------------


@pytest.fixture
def other_session() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(conninfo("standfast test rival")) as session:
        yield session


def test_mission_row_that_somebody_holds_delays_the_end_of_that_mission_only(
    other_session: psycopg.Connection[Any],
) -> None:
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        """Waited until the row is held."""
        held.set()
        go.wait(live_worker.PATIENCE)

    async def body(m: Context, request: dict[str, Any]) -> None:
        await m.step("hold", hold)

    async def quick(m: Context, request: dict[str, Any]) -> None: ...

    held_row, not_held = define("held-row", body), define("not-held", quick)
    with live_worker.worker():
        slow = begin(held_row)
        assert held.wait(live_worker.PATIENCE)
        other_session.execute("select 1 from missions_mission where id = %s for update", [slow.pk])
        go.set()
        try:
            for _ in range(3):
                live_worker.ended(begin(not_held))
        finally:
            other_session.rollback()
        live_worker.ended(slow)
    assert slow.outcome.verdict == "done" and history.verify(slow).ok


def test_alarm_that_keeps_failing_does_not_spin_the_worker() -> None:
    tries: Counter[str] = Counter()

    @alarms.handler("corner.broken")
    def broken(subject: str, nominal_at: Any) -> None:
        tries["rung"] += 1
        raise ValueError("broken")

    try:
        with live_worker.worker() as running:
            while running.incarnation is None or not hasattr(running.incarnation, "lane"):
                threading.Event().wait(0.01)
            alarms.set_alarm("corner.broken:1", database_now())
            while not tries["rung"]:
                threading.Event().wait(0.01)
            before = tries["rung"]
            threading.Event().wait(1.0)
            assert tries["rung"] - before <= 10
    finally:
        alarms._handlers.pop("corner.broken", None)
        Alarm.objects.all().delete()


def test_worker_whose_heartbeat_is_refused_starts_over(other_session: psycopg.Connection[Any]) -> None:
    async def quick(m: Context, request: dict[str, Any]) -> None: ...

    name = define("beat", quick)
    with live_worker.worker() as running:
        live_worker.ended(begin(name))
        first = running.incarnation
        assert first is not None
        other_session.execute("select 1 from missions_worker where dead_at is null for update")
        end_session_that_waits("standfast aux%", "pg_cancel_backend")
        other_session.rollback()
        for _ in range(100):
            if first.lost:
                break
            threading.Event().wait(0.05)
        assert first.lost
        live_worker.ended(begin(name))


def test_worker_whose_session_ends_while_it_opens_tries_again(other_session: psycopg.Connection[Any]) -> None:
    async def quick(m: Context, request: dict[str, Any]) -> None: ...

    run = begin(define("after-open", quick))
    WorkerRow.objects.create(id=7, host="gone", boot_id="", pid=1, pid_started=1, backend_pid=1)
    Mission.objects.filter(pk=run.pk).update(owner=7, attempt=1, state="running", wake_at=None)
    other_session.execute("select 1 from missions_mission where id = %s for update", [run.pk])
    with live_worker.worker():
        end_session_that_waits("standfast ring%")
        other_session.rollback()
        live_worker.ended(run)
    assert run.attempt == 3


def test_storm_of_hints_is_answered_by_few_statements() -> None:
    release = threading.Event()

    def block() -> None:
        """Stayed in memory."""
        release.wait(live_worker.PATIENCE)

    run = begin(define("stays", lambda m, request: m.step("block", block)))
    with live_worker.worker() as running:
        live_worker.wait_until(run, lambda now: now.owner is not None)
        current = running.incarnation
        assert current is not None
        calls: Counter[str] = Counter()
        call = current.lane.call

        def counted(*wanted: Any) -> Any:
            calls[wanted[0][0].decode()] += 1
            return call(*wanted)

        current.lane.call = counted  # type: ignore[method-assign]
        with connection.cursor() as cursor:
            cursor.execute("select pg_notify(%s, hint::text) from generate_series(1, 300) as hint", [feed.DUE])
        deliver(run.pk, "last", {})
        while not any(mail.name == "last" for mail in current._runs[run.pk].mail):
            threading.Event().wait(0.01)
        release.set()
        live_worker.ended(run)
    assert 0 < calls["new_mail"] < 20
