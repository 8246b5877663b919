"""Figures day by day, the archive's schedule, cleaning, and who watches the housekeeping itself."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone
from django_q.models import Schedule, Task
from pytest_django import Settings

from approvals.models import Decision
from missions.engine import alarms
from missions.models import Alarm, ApiToken, EffectState, Mission, Outcome, Permit, Worker
from missions.models.fields import DatabaseNow
from missions.web import tokens
from observability import checks, cleaning, rollup, tasks, watchdog
from observability.models import Check, Daily
from tests import decisions, live_worker, parcels, rail
from tests.conftest import Clock
from tests.integration.test_watches import worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh() -> None:
    checks._changes_seen.clear()


# -- Figures -----------------------------------------------------------------------------------------------------------


def busy_day(clock: Clock, olivia: User) -> None:
    """Four missions that end after 10, 20, 30 and 40 s, one that fails, one that goes on; a decision open for 60 s."""
    for number in range(1, 5):
        mission = rail.running(olivia)
        if number == 1:
            parcels.effect(mission, EffectState.DONE)
            parcels.effect(mission, EffectState.IN_DOUBT)
        parcels.complete(mission, "lost" if number == 4 else "delivered")
        started = mission.brief.started_at
        Outcome.objects.filter(pk=mission.pk).update(ended_at=started + dt.timedelta(seconds=10 * number))
    parcels.fail(rail.running(olivia))
    decision = decisions.opened(rail.running(olivia), decisions.SUPERVISORS)
    resolved = decision.opened_at + dt.timedelta(seconds=60)
    Decision.objects.filter(pk=decision.pk).update(state="approved", resolved_at=resolved)


def test_a_closed_day_is_rolled_up_once_and_right(clock: Clock, noon: dt.datetime, olivia: User) -> None:
    busy_day(clock, olivia)
    assert rollup.roll_up() == "Every closed day is rolled up."
    assert rollup.closed_until() is None
    clock.advance(hours=12, minutes=10)  # not settled yet
    assert rollup.roll_up() == "Every closed day is rolled up."
    clock.advance(minutes=10)
    checks._changes_seen.clear()
    assert str(noon.date()) in rollup.roll_up()
    day = Daily.objects.get()
    assert (day.day, day.type, day.started, day.completed, day.failed, day.cancelled) == (
        noon.date(), parcels.TYPE, 6, 4, 1, 0,
    )  # fmt: skip
    assert day.verdicts == {"delivered": 3, "lost": 1}
    assert day.median_seconds == pytest.approx(20, abs=0.5)  # the failed one took no time
    assert day.p95_seconds == pytest.approx(38, abs=0.5)
    assert (day.decisions, day.people_seconds) == (1, 60.0)
    assert (day.effects_done, day.effects_in_doubt) == (1, 1)
    end = rollup.closed_until()
    assert end is not None and end.date() == noon.date() + dt.timedelta(days=1)
    rollup.roll_up()
    assert Daily.objects.count() == 1


def test_many_days_are_caught_up_in_bounded_runs(clock: Clock, noon: dt.datetime, olivia: User) -> None:
    parcels.mission(olivia)
    clock.advance(days=rollup.MOST + 3)
    parcels.mission(olivia)
    clock.advance(days=1)
    rollup.roll_up()
    assert Daily.objects.count() == 1
    rollup.roll_up()
    assert Daily.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_archive_takes_only_what_is_rolled_up_and_the_figures_survive_it(
    clock: Clock, transactional_db: None, noon: dt.datetime, olivia: User, settings: Settings
) -> None:
    settings.MISSIONS_KEEP_DAYS = 1
    mission = parcels.complete(rail.running(olivia))
    clock.advance(days=3)
    assert tasks.archive() == "Nothing is rolled up yet."
    rollup.roll_up()
    assert tasks.archive() == "1 missions were archived."
    assert not Mission.objects.filter(pk=mission.pk).exists()
    rollup.roll_up()
    assert Daily.objects.get().completed == 1
    assert Check.objects.get(name="archive").ok


# -- Cleaning ----------------------------------------------------------------------------------------------------------


def test_cleaning_takes_what_is_old_and_nothing_else(clock: Clock, olivia: User) -> None:
    clock.advance(days=1)
    Alarm.objects.all().delete()
    worker(1)
    worker(2, dead_at=DatabaseNow())
    worker(3, dead_at=DatabaseNow())
    held = parcels.mission(olivia)
    Mission.objects.filter(pk=held.pk).update(owner=3)
    Alarm.objects.create(what="a:1", nominal_at=clock.now(), rung_at=DatabaseNow())
    Alarm.objects.create(what="a:2", nominal_at=clock.now())
    ended = parcels.mission(olivia)
    Mission.objects.filter(pk=ended.pk).update(state="completed")
    for one in (held, ended):
        Permit.objects.create(mission_id=one.pk, path="p", attempt=1, tool="parcel", limits=[])
    expired = tokens.issue(olivia, days=1)[0]
    fresh, _ = tokens.issue(olivia)
    old, new = timezone.now() - dt.timedelta(days=31), timezone.now()
    for number, at in enumerate((old, new)):
        Task.objects.create(id=f"{number}", name=f"{number}", func="f", started=at, stopped=at, success=False)
        Session.objects.create(session_key=f"s{number}", session_data="", expire_date=at + dt.timedelta(days=1))
    cleaning.clean()
    assert Worker.objects.count() == 3 and ApiToken.objects.count() == 2 and Alarm.objects.count() == 2
    assert Task.objects.count() == Session.objects.count() == 1
    assert list(Permit.objects.values_list("mission_id", flat=True)) == [held.pk]
    clock.advance(days=100)
    said = cleaning.clean()
    assert set(Worker.objects.values_list("pk", flat=True)) == {1, 3}
    assert list(Alarm.objects.values_list("what", flat=True)) == ["a:2"]
    assert list(ApiToken.objects.all()) == [fresh] != [expired]
    assert said == "Removed: 1 dead workers, 1 rung alarms, 1 old tokens."


def test_a_sweeper_that_fails_is_told_and_keeps_nobody_from_sweeping(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker(1, dead_at=DatabaseNow())
    clock.advance(days=8)
    monkeypatch.setattr(cleaning, "SWEEPERS", ("observability.nowhere.sweep", *cleaning.SWEEPERS))
    assert "Failed: sweep" in cleaning.clean()
    assert not Worker.objects.exists()
    assert not Check.objects.get(name="cleaning").ok
    assert [record.__dict__["action"] for record in caplog.records] == ["cleaning_failed"]


# -- Who watches the housekeeping --------------------------------------------------------------------------------------


@pytest.fixture
def on_time() -> None:
    """Housekeeping that ran a moment ago."""
    tasks.ensure_schedules()
    Schedule.objects.update(next_run=timezone.now())
    checks.record(tasks.HEARTBEAT, True, "fine")


def test_housekeeping_on_time_has_no_fault_and_one_that_never_ran_has(on_time: None) -> None:
    assert watchdog.faults_found() == []
    Check.objects.all().delete()
    assert "has not run yet" in watchdog.faults_found()[0]


def test_the_alarm_is_armed_once_and_rings_again_and_again(on_time: None, clock: Clock) -> None:
    for _ in range(2):
        watchdog.arm()
    mine = Alarm.objects.filter(what__startswith="housekeeping.watch:")
    for rung in range(3):
        assert (mine.filter(rung_at=None).count(), mine.exclude(rung_at=None).count()) == (1, rung)
        clock.advance(watchdog.EVERY.total_seconds() + 1)
        alarms.ring_due()


def test_a_worker_notices_dead_housekeeping_and_says_so(
    on_time: None, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.advance(watchdog.EVERY.total_seconds() + 1)
    alarms.ring_due()
    found = Check.objects.get(name="housekeeping")
    assert (found.ok, "has not run for 10 minutes" in found.detail) == (False, True)
    assert "housekeeping_late" in [record.__dict__["action"] for record in caplog.records]
    checks.record(tasks.HEARTBEAT, True, "fine")
    clock.advance(1)
    watchdog.watch("all", clock.now())
    assert Check.objects.get(name="housekeeping").ok


def test_a_late_job_and_one_that_fails_again_and_again_are_named(on_time: None) -> None:
    Schedule.objects.filter(name="rail-gap").update(next_run=timezone.now() - dt.timedelta(hours=1))
    for number in range(4):
        at = timezone.now() + dt.timedelta(seconds=number)
        Task.objects.create(
            id=f"{number}", name=f"{number}", func="observability.rollup.roll_up", started=at, stopped=at,
            success=number == 0,
        )
    assert watchdog.faults_found() == [
        "The job rail-gap is late.", "The job roll-up failed 3 times in a row.",
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_a_living_worker_rings_the_alarm_and_tells(clock: Clock, transactional_db: None) -> None:
    Alarm.objects.all().delete()
    watchdog.arm()
    clock.advance(watchdog.EVERY.total_seconds() + 1)
    with live_worker.worker():
        until = time.monotonic() + live_worker.PATIENCE
        while not Check.objects.filter(name="housekeeping").exists():
            assert time.monotonic() < until
            Schedule.objects.count()  # a round trip instead of a sleep
    assert not Check.objects.get(name="housekeeping").ok
    assert Alarm.objects.filter(rung_at=None).count() == 1
