"""Heartbeats, cursors and time-outs of steps and tools; typed retries; late answers that are too large."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from typing import Any

import pytest

from missions.authoring import (
    Checkpoint,
    Context,
    GivenUp,
    ResultUnusable,
    RetryPolicy,
    StepCall,
    StepFailed,
    ToolCall,
    Verdict,
    tool,
)
from missions.engine import history, registry
from missions.engine.starting import start
from missions.models import Mission, Progress
from missions.web.serializers import whole_detail
from tests import live_worker
from tests.corners import allow, begin, define, lose, states, told

pytestmark = pytest.mark.django_db(transaction=True)


class Copying:
    """A piece of work in parts, cut off once in the middle."""

    def __init__(self, cut_at: int = 5) -> None:
        self.begun_at: list[Any] = []
        self.cut_at = cut_at
        self.cut = threading.Event()
        self.go_on = threading.Event()

    def work(self, call: StepCall | ToolCall) -> int:
        self.begun_at.append(call.resume_cursor)
        for part in range(call.resume_cursor or 0, 10):
            if part == self.cut_at and len(self.begun_at) == 1:
                self.cut.set()
                self.go_on.wait(live_worker.PATIENCE)
            call.heartbeat({"done": part + 1, "total": 10}, part + 1)
        return 10


def cut(running: Any, copying: Copying, run: Mission) -> None:
    """Fence the worker in mid-call, once the cursor is kept, and let the call find out."""
    assert copying.cut.wait(live_worker.PATIENCE)
    live_worker.wait_until(run, lambda now: Progress.objects.filter(mission_id=now.pk, cursor=b"5").exists())
    lose(running)
    before = run.attempt
    live_worker.wait_until(run, lambda now: now.attempt > before)
    copying.go_on.set()


@pytest.mark.parametrize("recovery", ["resume", "restart-step"])
def test_step_that_was_cut_off_goes_on_from_its_cursor_as_its_type_says(recovery: str) -> None:
    copying = Copying()

    def copy(call: StepCall) -> int:
        """Copied."""
        return copying.work(call)

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return Verdict("copied", data={"parts": await m.step("copy", copy)})

    registry.register(f"copy-{recovery}", 1, "", body, checkpoint=Checkpoint(interval=0, recovery=recovery))
    run = start(f"copy-{recovery}", {})[0]
    with live_worker.worker() as running:
        cut(running, copying, run)
        live_worker.ended(run)
    assert run.outcome.data == {"parts": 10}
    assert copying.begun_at == [None, 5 if recovery == "resume" else None]
    assert not Progress.objects.exists(), "they go with the step's entry"


def test_keyed_tool_that_was_cut_off_goes_on_from_its_cursor() -> None:
    allow()
    copying = Copying()

    @tool(name="corner.copying", effect="write", retry_safety="keyed")
    def copy(call: ToolCall) -> int:
        """Copy"""
        return copying.work(call)

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return Verdict("copied", data={"parts": await m.tool("corner.copying")})

    registry.register("copy-by-tool", 1, "", body, checkpoint=Checkpoint(interval=0))
    run = start("copy-by-tool", {})[0]
    with live_worker.worker() as running:
        cut(running, copying, run)
        live_worker.ended(run)
    assert copying.begun_at == [None, 5] and states(run) == ["done"]
    assert not Progress.objects.exists()


def test_progress_is_shown_while_the_call_runs_and_written_at_most_once_an_interval() -> None:
    seen, go_on = threading.Event(), threading.Event()

    def report(call: StepCall) -> None:
        """Reported."""
        for number in range(2000):
            call.heartbeat({"done": number, "total": 2000}, number)  # the first waits for its commit
        seen.set()
        go_on.wait(live_worker.PATIENCE)

    async def body(m: Context, request: dict[str, Any]) -> None:
        await m.step("report", report)

    run = begin(define("reports", body))
    with live_worker.worker() as running:
        assert seen.wait(live_worker.PATIENCE)
        live_worker.wait_until(run, lambda now: whole_detail(now)["progress"] is not None)
        assert running.incarnation is not None
        batches = running.incarnation.lane.batches
        shown = whole_detail(run)["progress"]
        assert shown["path"] == "report#1" and shown["progress"]["total"] == 2000
        go_on.set()
        live_worker.ended(run)
    assert batches < 20
    assert whole_detail(run)["progress"] is None


def test_cursor_of_a_step_that_uses_the_workspace_comes_with_the_workspace_as_of_it(
    settings: Any, tmp_path: Any
) -> None:
    settings.DATA_DIR = tmp_path
    copying = Copying()

    class Appending:
        """A call whose every part adds a line."""

        def __init__(self, call: StepCall) -> None:
            self.call, self.resume_cursor = call, call.resume_cursor

        def heartbeat(self, progress: Any, cursor: int) -> None:
            with open(self.call.workspace / "lines", "a") as lines:
                lines.write(f"{cursor}\n")
            self.call.heartbeat(progress, cursor)

    def copy(call: StepCall) -> str:
        """Copied."""
        copying.work(Appending(call))  # type: ignore[arg-type]
        return (call.workspace / "lines").read_text()

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return Verdict("copied", data={"lines": await m.step("copy", copy)})

    registry.register("copy-files", 1, "", body, checkpoint=Checkpoint(interval=0))
    run = start("copy-files", {})[0]
    with live_worker.worker() as running:
        cut(running, copying, run)
        live_worker.ended(run)
    assert copying.begun_at == [None, 5]
    assert run.outcome.data == {"lines": "".join(f"{number}\n" for number in range(1, 11))}, run.outcome.error


# -- Time-outs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["timeout", "heartbeat_timeout"])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_step_that_exceeds_its_limit_fails_and_its_late_result_is_never_recorded(limit: str, colour: str) -> None:
    late, over = threading.Event(), threading.Event()
    raised: list[type[BaseException]] = []

    def dawdle(call: StepCall) -> str:
        """Dawdled."""
        try:
            call.heartbeat("here")
            over.wait(live_worker.PATIENCE)
            call.heartbeat("still here")
        except GivenUp as error:
            raised.append(type(error))
        finally:
            late.set()
        return "late"

    async def dawdle_async(call: StepCall) -> str:
        """Dawdled."""
        await asyncio.sleep(live_worker.PATIENCE)
        return "late"

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        spans: dict[str, Any] = {limit: dt.timedelta(seconds=0.15)}
        try:
            await m.step("dawdle", dawdle if colour == "sync" else dawdle_async, **spans)
        except StepFailed as error:
            over.set()
            if colour == "sync":
                await m.step("see", late.wait, live_worker.PATIENCE)
            return Verdict("gave up", data={"type": error.facts["type"], "why": str(error)})
        return Verdict("waited")

    run = begin(define(f"dawdles-{limit}-{colour}", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.outcome.verdict == "gave up" and run.outcome.data["type"] == "timed_out", run.outcome.error
    assert ("silent" if limit == "heartbeat_timeout" else "longer than") in run.outcome.data["why"]
    assert not [entry for entry in history.entries(run.pk) if entry.kind == "step" and entry.path == "dawdle#1"]
    assert raised == ([GivenUp] if colour == "sync" else [])


def test_silent_tool_is_in_doubt_and_one_that_reports_is_not() -> None:
    allow()
    over = threading.Event()

    @tool(name="corner.dumb", effect="write", heartbeat_timeout=2)
    def dumb(call: ToolCall, talks: bool) -> str:
        """Pay"""
        for _ in range(50 if talks else 1):
            call.heartbeat("talking")
            over.wait(0.05 if talks else live_worker.PATIENCE)
        return "paid"

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return Verdict("paid", data={"told": await m.tool("corner.dumb", talks=request["talks"])})

    name = define("dumb", body)
    with live_worker.worker():
        talks, silent = begin(name, talks=True), begin(name, talks=False)
        live_worker.ended(talks)
        live_worker.parked(silent, "decision:")
        over.set()
    assert talks.outcome.verdict == "paid" and states(silent) == ["in_doubt"]
    doubt = next(entry for entry in history.entries(silent.pk) if entry.kind == "doubt")
    assert "silent" in doubt.payload["why"]


# -- Typed retries -----------------------------------------------------------------------------------------------------


def policy_tries(policy: RetryPolicy, error: Exception) -> int:
    """How often a step that always raises this is tried."""
    tries: list[int] = []

    def fail() -> None:
        """Failed."""
        tries.append(1)
        raise error

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        try:
            await m.step("fail", fail, retry=policy)
        except StepFailed as failed:
            await m.sleep(0.01)  # what was recorded must be replayed
            return Verdict(failed.facts["type"])
        return Verdict("done")

    run = begin(define("retries", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.outcome.verdict == type(error).__name__, run.outcome.error
    assert told(run)[-4:-1] == ["step_failed", "sleep", "slept"]
    return len(tries)


FAST = {"attempts": 3, "first_seconds": 0.001}


@pytest.mark.parametrize(
    ("policy", "error", "tries"),
    [
        (RetryPolicy(**FAST), ValueError("x"), 3),
        (RetryPolicy(**FAST, on=(OSError,)), ValueError("x"), 1),
        (RetryPolicy(**FAST, on=(OSError,)), ConnectionError("x"), 3),
        (RetryPolicy(**FAST, not_on=(ConnectionError,)), ConnectionError("x"), 1),
        (RetryPolicy(**FAST, per=((KeyError, RetryPolicy(attempts=2, first_seconds=0.001)),)), KeyError("x"), 2),
        (RetryPolicy(attempts=9, first_seconds=3600, most_seconds=3600, most_total_seconds=60), ValueError("x"), 1),
    ],
    ids=["any", "not-on", "on", "excluded", "per-type", "total"],
)
def test_steps_are_tried_again_as_the_error_says(policy: RetryPolicy, error: Exception, tries: int) -> None:
    assert policy_tries(policy, error) == tries


# -- Late answers ------------------------------------------------------------------------------------------------------


def test_late_answer_that_is_too_large_for_the_mailbox_settles_the_effect_all_the_same() -> None:
    allow()
    called, go_on = threading.Event(), threading.Event()

    @tool(name="corner.late", effect="write", retry_safety="manual")
    def late(call: ToolCall) -> str:
        """Pay"""
        called.set()
        go_on.wait(live_worker.PATIENCE)
        return "x" * 2_000_000

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        try:
            await m.tool("corner.late")
        except ResultUnusable as error:
            return Verdict("done, result unusable", data={"digest": error.facts["digest"]})
        return Verdict("paid")

    run = begin(define("late", body))
    with live_worker.worker() as running:
        assert called.wait(live_worker.PATIENCE)
        lose(running)
        live_worker.parked(run, "decision:")
        go_on.set()
        live_worker.ended(run)
    assert run.outcome.verdict == "done, result unusable", run.outcome.error
    assert len(run.outcome.data["digest"]) == 64 and states(run) == ["done"]
