"""The scheduled watches: a missing or silent worker, a gap in the rail, a chain that does not hold."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_q.models import Schedule

from missions.models import Kind, Mission, Worker
from missions.models.fields import DatabaseNow
from observability import stuck, tasks
from observability.models import Check
from tests import parcels, rail
from tests.conftest import Clock


def worker(number: int, **fields: object) -> Worker:
    values = {"host": "here", "boot_id": "b", "pid": number, "pid_started": 1, "backend_pid": number, **fields}
    return Worker.objects.create(id=number, **values)


def finding(name: str) -> Check:
    return Check.objects.get(name=name)


@pytest.mark.django_db
def test_no_worker_raises_the_alarm_and_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    tasks.worker_heartbeat_alarm()
    found = finding("worker-heartbeat")
    assert (found.ok, "runmissions" in found.detail) == (False, True)
    assert [record.__dict__["action"] for record in caplog.records] == ["worker_heartbeat_alarm"]


@pytest.mark.django_db
def test_a_worker_that_beats_is_fine_and_one_that_died_is_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    worker(1)
    worker(2, dead_at=DatabaseNow())
    tasks.worker_heartbeat_alarm()
    assert finding("worker-heartbeat").ok
    assert not caplog.records


def test_a_silent_worker_raises_the_alarm_until_it_beats_again(clock: Clock) -> None:
    worker(1)
    worker(2)
    clock.advance(settings.MISSIONS_HUNG_SECONDS + 1)
    Worker.objects.filter(pk=1).update(heartbeat_at=DatabaseNow())
    assert tasks.worker_heartbeat_alarm().startswith("1 of 2 mission workers")
    assert not finding("worker-heartbeat").ok
    Worker.objects.update(heartbeat_at=DatabaseNow())
    tasks.worker_heartbeat_alarm()
    assert finding("worker-heartbeat").ok


@pytest.fixture
def missions(transactional_db: None, olivia: User) -> list[Mission]:
    made = [rail.running(olivia) for _ in range(3)]
    for mission in made:
        for number in range(3):
            parcels.append(mission, Kind.OBSERVED, {"text": f"observation {number}"})
    return made


def damage(statement: str, mission: Mission) -> None:
    """Change the journal behind the back of its triggers, as only a database administrator can."""
    with connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")
        cursor.execute(statement, [mission.pk])
        cursor.execute("set session_replication_role = origin")


def test_a_whole_rail_is_found_whole_and_read_only_once(missions: list[Mission]) -> None:
    assert tasks.rail_gap_check().startswith("3 missions are whole")
    assert tasks.rail_gap_check().startswith("0 missions are whole")
    parcels.append(missions[0], Kind.OBSERVED, {"text": "one more"})
    assert tasks.rail_gap_check().startswith("1 missions are whole")
    assert finding("rail-gap").ok


@pytest.mark.parametrize(
    "statement",
    [
        "delete from missions_journal where mission_id = %s and seq = 2",
        "update missions_journal set payload = '{}' where mission_id = %s and seq = 3",
        "update missions_journal set kind = 'step' where mission_id = %s and seq = 3",
    ],
    ids=["gap", "payload", "kind"],
)
def test_damage_is_found_named_and_stands_until_it_is_dealt_with(
    missions: list[Mission], statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    tasks.rail_gap_check()
    parcels.append(missions[1], Kind.OBSERVED, {"text": "one more"})
    damage(statement, missions[1])
    for _ in range(2):
        assert f"ission {missions[1].pk}" in tasks.rail_gap_check()
        assert not finding("rail-gap").ok
    assert {record.__dict__["action"] for record in caplog.records} == {"rail_gap"}


@pytest.mark.django_db
def test_the_watches_ask_the_database_little(django_assert_max_num_queries: object) -> None:
    tasks.worker_heartbeat_alarm()
    with django_assert_max_num_queries(8):  # type: ignore[operator]  # savepoints of the upsert included
        tasks.worker_heartbeat_alarm()
    tasks.rail_gap_check()
    with django_assert_max_num_queries(10):  # type: ignore[operator]
        tasks.rail_gap_check()


@pytest.mark.django_db
def test_schedules_are_made_once_and_what_people_changed_stays() -> None:
    Schedule.objects.filter(name="rail-gap").delete()
    tasks.ensure_schedules()
    Schedule.objects.filter(name="rail-gap").update(minutes=30)
    tasks.ensure_schedules()
    ours = Schedule.objects.filter(func__startswith="observability.").order_by("name")
    expected = [
        ("agent-spend", 5), ("archive", 60), ("cleaning", 1440), ("outbound", 1), ("rail-gap", 30), ("reminders", 1),
        ("roll-up", 60), ("stale-decisions", 5), ("stuck", 2), ("worker-heartbeat", 1),
    ]  # fmt: skip
    assert list(ours.values_list("name", "minutes")) == expected


@pytest.mark.django_db
def test_watches_of_an_idle_system_touch_no_mission_table() -> None:
    tasks.watch_rail()
    tasks.watch_decisions()
    stuck.watch()
    with CaptureQueriesContext(connection) as asked:
        assert tasks.watch_rail() == "Nothing was written since."
        assert tasks.watch_decisions() == 0
        assert stuck.watch() == "Nothing was written since."
    of_missions = re.compile(r'(from|join) "?(missions|approvals)_', re.IGNORECASE)
    assert not [query["sql"] for query in asked if of_missions.search(query["sql"])]
