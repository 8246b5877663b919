"""Corners of the engine: what leaks out of authors' code, and what must be neither waited for nor asked in a loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection

from approvals import votes
from missions.authoring import Context, Verdict
from missions.engine import alarms, feed, history
from missions.engine.clock import database_now
from missions.engine.dsn import conninfo
from missions.engine.mailbox import deliver
from missions.models import Alarm, Mission
from missions.models import Worker as WorkerRow
from tests import live_worker
from tests.corners import begin, define, end_session_that_waits, unguarded

pytestmark = pytest.mark.django_db(transaction=True)


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


# -- People ------------------------------------------------------------------------------------------------------------


def test_mission_that_ended_elsewhere_while_it_needs_attention_is_no_fault_of_its_worker(
    other_session: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can be asked about it any more; the missions beside it go on under the same worker."""

    async def waits(m: Context, request: dict[str, Any]) -> Verdict:
        await m.wait_for_signal("go")
        return Verdict("gone on")

    async def diverges(m: Context, request: dict[str, Any]) -> None:
        over = "update missions_mission set state = 'failed', owner = null, attempt = attempt + 1 where id = %s"
        unguarded(lambda: (other_session.execute(over, [run.pk]), other_session.commit()))
        await m.sleep(1)

    fenced = threading.Event()
    caplog.handler.addFilter(lambda record: getattr(record, "action", "") != "mission_fenced" or not fenced.set())
    name, quiet = define("ended-elsewhere", waits), define("beside", waits)
    with live_worker.worker():
        run = live_worker.parked(begin(name), "signal:go")
    define(name, diverges)
    with live_worker.worker() as running:
        beside = live_worker.parked(begin(quiet), "signal:go")
        me = running.incarnation.worker_id
        deliver(run.pk, "go", {})
        assert fenced.wait(live_worker.PATIENCE)
        deliver(beside.pk, "go", {})
        live_worker.ended(beside)
        assert running.incarnation.worker_id == me and not running.incarnation.lost
    actions = {getattr(record, "action", "") for record in caplog.records}
    assert "attend_refused" in actions and "worker_fenced" not in actions


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
            before, begun = tries["rung"], time.monotonic()
            threading.Event().wait(1.0)
            assert tries["rung"] - before <= 10 * (time.monotonic() - begun)
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
        while (held := current._runs.get(run.pk)) is None or not any(one.name == "last" for one in held.inbox._mail):
            threading.Event().wait(0.01)
        release.set()
        live_worker.ended(run)
    assert 0 < calls["new_mail"] < 20
