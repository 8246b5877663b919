"""Which death of a worker counts against which of its missions: sql/bury.sql, death by death."""

from __future__ import annotations

import itertools

import pytest
from django.db import connection

from missions.engine import listeners
from missions.engine.starting import start
from missions.engine.statements import statement
from missions.models import Alarm, Mission, State, Worker
from tests.conftest import Clock

pytestmark = pytest.mark.django_db
numbers = itertools.count(1)
BURIER = 1 << 40


def mission() -> Mission:
    """A mission that has never got on."""
    return start("refund", {"order_id": "ORD-1001", "amount": "1.00", "reason": "Late"})[0]


def die(*missions: Mission) -> None:
    """A worker dies with these missions in its hands, and is buried."""
    worker = Worker.objects.create(id=next(numbers), host="here", boot_id="", pid=1, pid_started=1, backend_pid=1)
    Mission.objects.filter(pk__in=[one.pk for one in missions]).update(owner=worker.pk, state=State.RUNNING)
    for one in missions:
        Mission.objects.filter(pk=one.pk).update(attempt=one.attempt + 1)
    with connection.cursor() as cursor:
        cursor.execute("prepare burial as " + statement("bury"))
        cursor.execute(f"execute burial ({worker.pk}, {BURIER})")
        cursor.execute("deallocate burial")
    for one in missions:
        one.refresh_from_db()
        assert one.owner is None


def quarantined() -> Mission:
    """A mission with two strikes."""
    one = mission()
    while one.strikes < 2:
        die(one)
    assert one.state == State.READY
    return one


def test_third_death_in_a_row_pauses_a_mission() -> None:
    one = quarantined()
    die(one)
    assert (one.strikes, one.state, one.reason, one.wake_at) == (3, State.PAUSED, "quarantined", None)


def test_who_listens_hears_of_the_pause_and_of_no_death_before() -> None:
    one, other = quarantined(), quarantined()
    listeners.listen(listeners.of_mission(one.pk))
    assert not Alarm.objects.filter(what__startswith=listeners.OUTCOME).exists()
    die(one, other)
    assert list(Alarm.objects.filter(what__startswith=listeners.OUTCOME).values_list("what", flat=True)) == [
        f"mission.outcome:{one.pk}"
    ]


def test_those_who_died_with_it_do_not_speak_for_a_mission() -> None:
    one, beside = mission(), [mission() for _ in range(3)]
    die(one, *beside)
    die(one)
    assert one.strikes == 2


def test_mission_is_not_quarantined_at_once_while_workers_die_without_it() -> None:
    one, strikes = mission(), []
    for _ in range(6):
        die(mission())
        die(one)
        strikes.append(one.strikes)
    assert strikes == [1, 1, 1, 1, 2, 2]


def test_deaths_of_long_ago_do_not_speak_for_a_mission(clock: Clock) -> None:
    one = mission()
    die(mission())
    clock.advance(seconds=61)
    die(one)
    die(one)
    assert one.strikes == 2


def test_death_in_quarantine_does_not_count_while_other_workers_die() -> None:
    one = quarantined()
    die(mission())
    die(one)
    assert (one.strikes, one.state) == (2, State.READY)
    die(one)
    assert (one.strikes, one.state) == (3, State.PAUSED)


def test_missions_in_quarantine_do_not_speak_for_each_other() -> None:
    one, other = quarantined(), quarantined()
    die(other)
    die(one)
    assert [one.state, other.state] == [State.PAUSED] * 2


def test_missions_that_kill_all_end_in_quarantine() -> None:
    killers = [mission() for _ in range(3)]
    for _ in range(7):
        for one in killers:
            if one.state != State.PAUSED:
                die(one)
    assert [one.state for one in killers] == [State.PAUSED] * 3
