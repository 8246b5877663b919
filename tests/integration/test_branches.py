"""Branches side by side: who comes first, how the others are cut off, and that replay tells the same story."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import votes
from approvals.policies import document, versions
from missions.authoring import Context, OutcomeUnknown, StepFailed, ToolCall, Verdict, tool
from missions.engine import feed, history
from missions.engine.mailbox import deliver
from missions.models import Kind, Mission
from tests import live_worker
from tests.conftest import Clock
from tests.corners import allow, bank, begin, define, lose, raising, told

pytestmark = pytest.mark.django_db(transaction=True)
ran: list[str] = []
held, go_on = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    ran.clear()
    bank.calls.clear()
    bank.fault = lambda: None
    held.clear()
    go_on.clear()
    yield
    go_on.set()


async def note(name: str) -> str:
    """Noted."""
    ran.append(name)
    return name


async def fail(name: str) -> str:
    """Failed."""
    ran.append(name)
    raise ValueError(name)


@tool(name="corner.held", effect="write", retry_safety="keyed", key_ttl=3600)
async def slow(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    held.set()
    await asyncio.to_thread(go_on.wait, live_worker.PATIENCE)
    return bank.call(call.idempotency_key)


def won(mission: Mission) -> list[dict[str, Any]]:
    return [entry.payload for entry in history.entries(mission.pk) if entry.kind == Kind.WON]


def through_a_replay(name: str, body: Callable[[Context], Awaitable[Any]], *signals: str) -> Mission:
    """Run it, sending these signals one by one; then once more from its record, which has to tell the same."""
    seen: list[Any] = []

    async def twice(m: Context, request: dict[str, Any]) -> Verdict:
        seen.append(await body(m))
        await m.wait_for_signal("again")
        return Verdict("done", data={"result": seen[-1]})

    run = begin(define(name, twice))
    with live_worker.worker():
        for signal in signals:
            live_worker.parked(run)
            deliver(run.pk, signal, {"name": signal})
        live_worker.parked(run, "signal:again")
        deliver(run.pk, "again", {})
        live_worker.ended(run)
    assert len(seen) == 2 and seen[0] == seen[1]
    assert history.verify(run).ok
    return run


async def after(m: Context, signal: str, function: Callable[[str], Awaitable[str]] = note) -> str:
    await m.wait_for_signal(signal)
    return str(await m.step("after", function, signal))


def test_first_call_wins_and_the_others_are_cut_off() -> None:
    async def body(m: Context) -> Any:
        return await m.wait_any(after(m, "a"), after(m, "b"), m.sleep(9999))

    run = through_a_replay("any", body, "b")
    assert run.outcome.data == {"result": [1, "b"]} and ran == ["b"]
    assert won(run) == [{"index": 1, "failed": False, "lost": [0, 2]}]


def test_call_that_ends_at_once_wins_before_the_others_begin() -> None:
    async def at_once() -> str:
        return "at once"

    async def body(m: Context) -> Any:
        return await m.wait_any(at_once(), m.step("late", note, "late"))

    run = through_a_replay("at-once", body)
    assert run.outcome.data == {"result": [0, "at once"]} and ran == []


def test_winner_that_raised_raises() -> None:
    async def body(m: Context) -> Any:
        try:
            await m.wait_any(after(m, "a"), after(m, "b", fail))
        except StepFailed as error:
            return str(error)

    run = through_a_replay("any-raises", body, "b")
    assert run.outcome.data == {"result": "b"} and won(run)[0] == {"index": 1, "failed": True, "lost": [0]}


def test_first_error_of_a_gather_is_raised_at_once_and_the_others_are_cut_off() -> None:
    async def body(m: Context) -> Any:
        try:
            await m.gather(after(m, "a"), after(m, "b", fail), after(m, "c", fail))
        except StepFailed as error:
            return str(error)

    run = through_a_replay("gather-error", body, "a", "c")
    assert run.outcome.data == {"result": "c"} and ran == ["a", "c"]
    assert won(run) == [{"index": 2, "failed": True, "lost": [1]}]


def test_gather_that_returns_exceptions_waits_for_all() -> None:
    async def body(m: Context) -> Any:
        calls = after(m, "a", fail), after(m, "b"), after(m, "c", fail)
        return [str(item) for item in await m.gather(*calls, return_exceptions=True)]

    run = through_a_replay("gather-all", body, "c", "b", "a")
    assert run.outcome.data == {"result": ["a", "b", "c"]} and won(run) == []


def test_nested_branches_are_cut_off_with_theirs() -> None:
    async def inner(m: Context) -> Any:
        return await m.gather(m.wait_any(after(m, "x"), m.sleep(99)), after(m, "y"))

    async def body(m: Context) -> Any:
        return await m.wait_any(inner(m), after(m, "a"))

    run = through_a_replay("nested", body, "y", "a")
    assert run.outcome.data == {"result": [1, "a"]} and ran == ["y", "a"]


def test_finally_block_of_a_branch_that_was_cut_off_can_start_nothing() -> None:
    async def stubborn(m: Context) -> None:
        try:
            await m.wait_for_signal("never")
        finally:
            for _ in range(2):
                try:
                    await m.step("finally", note, "finally")
                except BaseException as error:
                    ran.append(type(error).__name__)

    async def body(m: Context) -> Any:
        return await m.wait_any(stubborn(m), after(m, "a"))

    through_a_replay("stubborn", body, "a")
    assert "finally" not in ran and ran[-4:] == ["CancelledError"] * 4  # twice as it ran, twice as it was replayed


@pytest.mark.parametrize("kind", ["async", "thread", "swallows"])
def test_plain_step_of_a_loser_is_cut_off_and_not_recorded(kind: str) -> None:
    async def wait() -> str:
        held.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if kind != "swallows":
                raise
        return "swallowed"

    def block() -> None:
        held.set()
        go_on.wait(live_worker.PATIENCE)

    def until_held() -> None:
        held.wait(live_worker.PATIENCE)

    async def signalled(m: Context) -> None:
        await m.step("signalled", until_held)

    async def body(m: Context) -> Any:
        return await m.wait_any(m.step("long", block if kind == "thread" else wait), signalled(m))

    run = through_a_replay(f"cut-step-{kind}", body)
    assert run.outcome.data == {"result": [1, None]}
    assert [e.path for e in history.entries(run.pk) if e.kind == Kind.STEP] == ["wait_any#1/1/signalled#1"]


async def pay_then_note(m: Context, name: str) -> None:
    await m.tool(name, amount=1)
    await m.step("after", note, "after the tool")


def test_effect_of_a_loser_ends_before_the_mission_goes_on() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        index, _ = await m.wait_any(pay_then_note(m, "corner.held"), after(m, "a"))
        await m.step("next", note, "next")
        await m.wait_for_signal("again")
        return Verdict("done", data={"index": index})

    allow()
    run = begin(define("shielded", body))
    with live_worker.worker():
        assert held.wait(live_worker.PATIENCE)
        deliver(run.pk, "a", {})
        live_worker.wait_until(run, lambda now: bool(won(now)))
        assert "outcome" not in told(run)
        go_on.set()
        live_worker.parked(run, "signal:again")
        deliver(run.pk, "again", {})
        live_worker.ended(run)
    assert told(run)[3:] == ["signal", "step", "won", "outcome", "step", "await", "signal", "completed"]
    assert ran == ["a", "next"] and len(bank.calls) == 1


def test_worker_that_dies_with_a_shielded_loser_settles_its_effect_first() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        await m.wait_any(pay_then_note(m, "corner.held"), after(m, "a"))
        await m.step("next", note, "next")
        return Verdict("done")

    allow()
    run = begin(define("shielded-death", body))
    with live_worker.worker() as running:
        assert held.wait(live_worker.PATIENCE)
        deliver(run.pk, "a", {})
        live_worker.wait_until(run, lambda now: bool(won(now)))
        lose(running)
        go_on.set()
        live_worker.ended(run)
    after_won = told(run)[told(run).index("won"):]
    assert after_won[0] == "won" and after_won[1] in ("doubt", "outcome") and after_won[-2:] == ["step", "completed"]
    assert ran == ["a", "next"] and len(set(bank.calls)) == 1


def test_loser_in_doubt_waits_for_a_person_before_the_mission_goes_on(olivia: User) -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        await m.wait_any(pay_then_note(m, "corner.manual"), after(m, "a"))
        return Verdict("done")

    allow()
    bank.fault = raising(OutcomeUnknown("lost"))
    run = begin(define("loser-in-doubt", body))
    with live_worker.worker():
        live_worker.parked(run, "decision:")
        deliver(run.pk, "a", {})
        live_worker.wait_until(run, lambda now: bool(won(now)) and now.owner is None)
        (decision,) = run.decisions.all()
        assert decision.state == "open" and not run.ended
        votes.cast(
            decision.pk, olivia, "approve", decision.digest, channel="console", choice="happened", reference="R7"
        )
        live_worker.ended(run)
    assert told(run)[-3:] == ["answered", "outcome", "completed"] and ran == ["a"]


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("asks", ["approval", "tool"])
def test_decision_of_a_loser_is_withdrawn(asks: str, dies: bool, clock: Clock) -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        ask = m.approval("ask", "May it?") if asks == "approval" else m.tool("corner.manual", amount=1)
        try:
            await m.wait_for(ask, timeout=3600)
        except TimeoutError:
            return Verdict("too-late")
        return Verdict("answered")

    if asks == "tool":
        from_policy()
    run = begin(define(f"withdrawn-{asks}-{dies}", body))
    with live_worker.worker() as running:
        live_worker.parked(run, "decision:")
        if dies:
            die_when_recorded(running, run)
        clock.advance(seconds=3601)
        feed.announce_due()
        live_worker.ended(run)
    (decision,) = run.decisions.all()
    assert decision.state == "withdrawn" and run.outcome.verdict == "too-late" and bank.calls == []
    assert won(run) == [{"index": 1, "failed": False, "lost": [0]}]


def from_policy() -> None:
    """A policy that asks people before the corner's tools are used."""
    rules = [{
        "name": "ask", "scope": {"tool": "corner.*"}, "effect": "escalate", "reason": "A test.",
        "tiers": [{"group": "supervisors", "quorum": 1}],
    }]
    versions.load(document.check({"name": "corner", "mode": "enforce", "rules": rules}), activate=True, via="test")


def die_when_recorded(running: Any, run: Mission) -> None:
    """Let the worker die once, in the moment after the winner is recorded and before anything comes of that."""
    current = running.incarnation
    flushed = current.lane._resolve

    def resolve(batch: Any, released: Any, fenced: Any) -> None:
        if any(draft.kind == Kind.WON for write in batch.writes for draft in write.drafts):
            current._lose(RuntimeError("the test cuts the lane"))
            return
        flushed(batch, released, fenced)

    current.lane._resolve = resolve


def test_time_out_gives_the_result_where_it_came_in_time() -> None:
    async def body(m: Context) -> Any:
        return await m.wait_for(after(m, "a"), timeout=3600)

    run = through_a_replay("in-time", body, "a")
    assert run.outcome.data == {"result": "a"}


def test_wait_any_of_nothing_is_refused() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        assert await m.gather() == []
        await m.wait_any()

    run = begin(define("any-nothing", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert "misused_context" in run.outcome.error


def test_group_of_another_size_is_a_divergence() -> None:
    async def before(m: Context, request: dict[str, Any]) -> None:
        await m.wait_any(after(m, "a"), after(m, "b"))
        await m.wait_for_signal("again")

    async def later(m: Context, request: dict[str, Any]) -> None:
        await m.wait_any(after(m, "a"), after(m, "b"), after(m, "c"))
        await m.wait_for_signal("again")

    run = begin(define("resized", before))
    with live_worker.worker():
        deliver(run.pk, "a", {})
        live_worker.parked(run, "signal:again")
        define("resized", later)
        deliver(run.pk, "again", {})
        live_worker.wait_until(run, lambda now: now.state == "paused")
    assert run.reason == "divergence"


def test_mission_that_parks_in_branches_leaves_nothing_in_memory() -> None:
    left: list[weakref.ref[Any]] = []

    async def body(m: Context, request: dict[str, Any]) -> None:
        left.append(weakref.ref(m._run))
        await m.wait_any(m.gather(after(m, "a"), after(m, "b")), m.sleep(9999), m.step("noted", note, "noted"))
        await m.wait_any(m.gather(after(m, "a"), after(m, "b")), m.wait_for(m.sleep(9999), timeout=99))

    run = begin(define("light", body))
    gc.disable()
    try:
        with live_worker.worker():
            live_worker.parked(run)
            gone, give_up = threading.Event(), time.monotonic() + live_worker.PATIENCE
            while left[0]() is not None and time.monotonic() < give_up:
                gone.wait(0.01)
            assert left[0]() is None
    finally:
        gc.enable()
