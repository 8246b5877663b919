"""Schedules on the database clock: once each time, missed times by their policy, changes, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from missions.engine import alarms, schedules
from missions.errors import InvalidInput, ScheduleExists, UnknownSchedule
from missions.models import Alarm, Mission, Schedule
from tests import live_worker, parcels
from tests.conftest import Clock, Person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("noon")]
HOURLY = {"type": parcels.TYPE, "input": parcels.INPUT, "cron": "0 * * * *"}


@pytest.fixture(autouse=True)
def _only_schedules_ring() -> None:
    """The watch over the housekeeping has an alarm of its own, which a moved clock would ring as well."""
    Alarm.objects.all().delete()


def hourly(name: str = "hourly", **fields: Any) -> Schedule:
    return schedules.create(name, **{**HOURLY, **fields})


def until_next(clock: Clock, schedule: Schedule, **more: float) -> None:
    """Move the clock to just after the schedule's next time, and further."""
    schedule.refresh_from_db()
    assert schedule.next_at is not None
    clock.advance((schedule.next_at - clock.now()).total_seconds() + 1 + dt.timedelta(**more).total_seconds())


def test_worker_starts_the_mission_at_its_time_and_sets_the_next(clock: Clock, person: Person) -> None:
    olivia = person("olivia")
    schedule = hourly(title="Each hour", priority=5, run_as=olivia)
    planned = schedule.next_at
    assert planned is not None and planned > clock.now() and (planned.minute, planned.second) == (0, 0)
    with live_worker.worker():
        assert not Mission.objects.exists()
    until_next(clock, schedule)
    with live_worker.worker():
        mission = wait_for_mission()
        live_worker.ended(mission)
    schedule.refresh_from_db()
    assert (schedule.last_at, schedule.last_mission, schedule.last_error) == (planned, mission.pk, "")
    assert schedule.next_at == planned + dt.timedelta(hours=1)
    brief = mission.brief
    assert (brief.title, brief.started_by, brief.started_via, mission.priority) == ("Each hour", olivia, "schedule", 5)


def wait_for_mission() -> Mission:
    """The mission that the schedule starts: hints of a worker tell of it."""
    probe = parcels.mission()
    live_worker.wait_until(probe, lambda now: now.ended and Mission.objects.count() == 2)
    return Mission.objects.exclude(pk=probe.pk).get()


def test_time_that_rings_twice_starts_one_mission(clock: Clock) -> None:
    schedule = hourly()
    until_next(clock, schedule)
    planned = schedule.next_at
    assert alarms.ring_due() == 1
    Alarm.objects.filter(nominal_at=planned).update(rung_at=None)  # rung again: it is no longer the next time
    Schedule.objects.update(next_at=planned)  # and even where it were
    assert alarms.ring_due() == 1
    assert Mission.objects.count() == 1


@pytest.mark.parametrize(("missed", "started"), [("skip", 0), ("latest", 1), ("all", 4)])
def test_missed_times_count_as_the_policy_says(clock: Clock, missed: str, started: int) -> None:
    schedule = hourly(missed=missed)
    until_next(clock, schedule, hours=3, minutes=30)
    assert alarms.ring_due() == 1
    assert Mission.objects.count() == started
    schedule.refresh_from_db()
    assert schedule.next_at is not None and dt.timedelta() < schedule.next_at - clock.now() <= dt.timedelta(hours=1)
    until_next(clock, schedule)  # on time again
    assert alarms.ring_due() == 1
    assert Mission.objects.count() == started + 1


def test_making_up_for_missed_times_is_bounded(clock: Clock) -> None:
    schedule = hourly(missed="all", cron="* * * * *")
    until_next(clock, schedule, days=3)
    assert alarms.ring_due() == 1
    assert Mission.objects.count() == schedules.ALL_MOST


def test_disabled_schedule_starts_nothing_and_enabling_makes_up_for_nothing(clock: Clock) -> None:
    schedule = hourly(missed="all")
    schedules.change("hourly", enabled=False)
    clock.advance(hours=5)
    assert alarms.ring_due() == 1  # the alarm of before finds that it is out of date
    assert not Mission.objects.exists()
    schedule = schedules.change("hourly", enabled=True)
    assert schedule.next_at is not None and schedule.next_at > clock.now()
    until_next(clock, schedule)
    alarms.ring_due()
    assert Mission.objects.count() == 1


def test_changed_and_deleted_schedules_follow_their_new_times_only(clock: Clock) -> None:
    schedule = hourly()
    schedules.change("hourly", cron="30 4 * * *", timezone="Asia/Kolkata")
    schedule.refresh_from_db()
    assert schedule.next_at is not None and f"{schedule.next_at:%H:%M}" == "23:00"
    assert [f"{at:%H:%M}" for at in schedules.next_times(schedule, 3)] == ["23:00"] * 3
    schedules.delete("hourly")
    clock.advance(days=2)
    alarms.ring_due()
    assert not Mission.objects.exists()
    with pytest.raises(UnknownSchedule):
        schedules.delete("hourly")


def test_run_now_starts_a_mission_for_whoever_asks_and_moves_no_time(person: Person) -> None:
    schedule, ann = hourly(), person("ann")
    first, created = schedules.run_now("hourly", started_by=ann, key="k")
    again, repeated = schedules.run_now("hourly", started_by=ann, key="k")
    assert (created, repeated, first.pk) == (True, False, again.pk)
    assert first.brief.started_by == ann
    before = schedule.next_at
    schedule.refresh_from_db()
    assert schedule.next_at == before


def test_what_refuses_a_mission_is_kept_and_the_schedule_goes_on(clock: Clock, person: Person) -> None:
    olivia = person("olivia")
    schedule = hourly(run_as=olivia)
    olivia.is_active = False
    olivia.save()
    until_next(clock, schedule)
    alarms.ring_due()
    schedule.refresh_from_db()
    assert "olivia may not sign in" in schedule.last_error and schedule.last_at is None
    schedules.change("hourly", run_as=None)
    Schedule.objects.update(type="gone")  # as a deploy without the type would leave it
    until_next(clock, schedule)
    alarms.ring_due()
    schedule.refresh_from_db()
    assert "no mission type" in schedule.last_error and not Mission.objects.exists()
    Schedule.objects.update(type=parcels.TYPE)
    until_next(clock, schedule)
    alarms.ring_due()
    schedule.refresh_from_db()
    assert schedule.last_error == "" and Mission.objects.count() == 1


def test_all_that_is_wrong_is_told_field_by_field() -> None:
    with pytest.raises(InvalidInput) as refused:
        schedules.create(
            "No Name", type=parcels.TYPE, input={"address": 1}, cron="* *", timezone="Mars", missed="never",
            title="x" * 201, priority=1000,
        )
    fields = {error["field"] for error in refused.value.errors}
    assert fields == {
        "name", "title", "missed", "priority", "timezone", "cron", "input.address", "input.weight",
    }
    with pytest.raises(InvalidInput) as refused:
        hourly(type="unheard.of")
    assert [error["field"] for error in refused.value.errors] == ["type"]
    hourly()
    with pytest.raises(ScheduleExists):
        hourly()
    with pytest.raises(InvalidInput):
        schedules.change("hourly", cron="never")
    assert Schedule.objects.get().cron == "0 * * * *"
