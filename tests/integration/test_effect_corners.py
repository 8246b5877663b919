"""Corners of the effect protocol: an effect never vanishes, and a fenced worker starts none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from missions.authoring import Context, OutcomeUnknown, ToolCall, ToolFailed, Verdict, tool
from missions.engine import feed
from missions.engine.dsn import conninfo
from missions.engine.mailbox import deliver
from missions.models import EffectState
from tests import live_worker
from tests.conftest import Clock
from tests.corners import allow, bank, begin, define, end_session_that_waits, lose, pay, raising, states, told

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    bank.__init__()  # type: ignore[misc]
    allow()


@pytest.fixture
def other_session() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(conninfo("standfast test rival")) as session:
        yield session


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
    limits: list[asyncio.Timeout] = []

    @tool(name="corner.slow", effect="write", retry_safety="manual")
    async def slow(call: ToolCall, amount: int) -> dict[str, Any]:
        """Pay"""
        limits[-1].reschedule(asyncio.get_running_loop().time())  # the author's time is over in the middle of the call
        await asyncio.to_thread(released.wait, live_worker.PATIENCE)
        return bank.call(call.idempotency_key)

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        try:
            async with asyncio.timeout(None) as limit:
                limits.append(limit)
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
        first = running.incarnation
        assert first is not None
        run = begin(name, tool="corner.threaded")
        live_worker.wait_until(run, lambda now: first._threads._authors._work_queue.qsize() > 0)
        lose(running)
        live_worker.wait_until(run, lambda now: first.ended.is_set())
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
