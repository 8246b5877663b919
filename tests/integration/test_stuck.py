"""The watch over missions that should move and do not: each kind found once, told once, and forgotten when it moves."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from missions.engine import feed
from missions.engine.dsn import conninfo
from missions.models import Alarm, EffectState, Mission, State, Worker
from missions.models.fields import DatabaseNow
from observability import checks, stuck
from observability.models import Check, Stuck
from tests import decisions, parcels, rail
from tests.conftest import Clock
from tests.integration.test_watches import worker

pytestmark = pytest.mark.django_db
LONG = settings.MISSIONS_STUCK_SECONDS + 5


@pytest.fixture(autouse=True)
def fresh() -> None:
    checks._changes_seen.clear()
    stuck._look_again.clear()


def look() -> set[tuple[str, str]]:
    """What a look finds that is not quiet."""
    checks._changes_seen.pop(stuck.NAME, None)
    stuck.watch()
    return set(Stuck.objects.values_list("kind", "subject"))


def test_a_system_that_moves_is_found_so(clock: Clock, olivia: User) -> None:
    worker(1)
    parcels.park(parcels.mission(olivia), "signal:paid")
    parcels.park(parcels.mission(olivia), "timer", due=clock.advance(0) + parcels.dt.timedelta(days=3))
    decisions.opened(decisions.waiting_mission(olivia, owner=1))
    parcels.complete(parcels.mission(olivia))
    clock.advance(LONG)
    assert look() == set()
    assert Check.objects.get(name="stuck").ok


@pytest.mark.parametrize("state", [State.READY, State.SLEEPING])
def test_due_missions_that_living_workers_leave_alone(state: State, clock: Clock, olivia: User) -> None:
    mission = parcels.mission(olivia)
    Mission.objects.filter(pk=mission.pk).update(state=state)
    clock.advance(LONG)
    assert look() == set()  # nobody lives: another watch says so
    worker(1)
    assert look() == {("overdue", str(mission.uid))}
    assert "no worker took it" in Stuck.objects.get().detail
    Mission.objects.update(type="gone")
    Stuck.objects.all().delete()
    look()
    assert "no code here knows its type gone" in Stuck.objects.get().detail


def test_a_finding_is_logged_once_and_forgotten_when_it_moves(
    clock: Clock, olivia: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "observability.stuck")
    worker(1)
    mission = parcels.mission(olivia)
    clock.advance(LONG)
    for _ in range(3):
        assert look() == {("overdue", str(mission.uid))}
    Mission.objects.update(owner=1, wake_at=None)
    assert look() == set()
    assert [record.__dict__["action"] for record in caplog.records] == ["mission_stuck", "mission_moves"]


@pytest.mark.django_db(transaction=True)
def test_what_is_due_is_hinted_at_again(clock: Clock, transactional_db: None, olivia: User) -> None:
    worker(1)
    parcels.mission(olivia)
    clock.advance(LONG)
    with psycopg.connect(conninfo("standfast test"), autocommit=True) as listener:
        listener.execute(f"listen {feed.DUE}")
        look()
        assert [note.channel for note in listener.notifies(timeout=5, stop_after=1)] == [feed.DUE]


def test_missions_of_dead_and_unknown_workers(clock: Clock, olivia: User) -> None:
    worker(1)
    worker(2, dead_at=DatabaseNow())
    missions = [parcels.mission(olivia) for _ in range(3)]
    for owner, mission in enumerate(missions, start=1):
        Mission.objects.filter(pk=mission.pk).update(owner=owner, state=State.RUNNING, wake_at=None)
    assert look() == {("orphaned", str(missions[2].uid))}
    clock.advance(LONG)
    Worker.objects.filter(pk=1).update(heartbeat_at=DatabaseNow())
    assert look() == {("orphaned", str(missions[1].uid)), ("orphaned", str(missions[2].uid))}


def test_waits_that_nothing_will_end(clock: Clock, olivia: User, sam: User) -> None:
    settled = decisions.opened(decisions.waiting_mission(olivia))
    child = parcels.complete(parcels.mission(olivia))
    waits = {
        f"decision:{settled.pk}": "a decision that is settled", f"decision:{uuid.uuid4()}": "that does not exist",
        f"child:{child.uid}": "a child that has ended", "timer": "no time", "": "no time",
    }  # fmt: skip
    missions = [parcels.park(parcels.mission(olivia), wait) for wait in waits]
    open_one = decisions.opened(decisions.waiting_mission(olivia, owner=1))
    parcels.park(open_one.mission, f"decision:{open_one.pk}")
    Mission.objects.filter(pk=settled.mission_id).update(owner=1)
    Mission.objects.filter(pk=open_one.mission_id).update(owner=None)
    worker(1)
    settled.state, settled.resolved_at = "approved", clock.now()
    settled.save()
    assert look() == {("wait", str(mission.uid)) for mission in (missions[1], *missions[3:])}  # the rest may be moving
    clock.advance(LONG)
    assert look() == {("wait", str(mission.uid)) for mission in missions}
    told = dict(Stuck.objects.values_list("mission", "detail"))
    for mission, why in zip(missions, waits.values(), strict=True):
        assert why in told[mission.uid]


def test_open_effects_that_nobody_is_busy_with(clock: Clock, olivia: User) -> None:
    left = [parcels.park(rail.running(olivia), "signal:x") for _ in range(4)]
    for mission, state in zip(left, [*EffectState][:4], strict=True):
        parcels.effect(mission, state)
    asked = rail.running(olivia)
    parcels.effect(asked, EffectState.IN_DOUBT)
    decisions.in_doubt(asked)
    parcels.park(asked, "signal:x")
    worker(1)
    clock.advance(LONG)
    open_ones = {("effect", str(left[index].uid)) for index, state in enumerate([*EffectState][:4])
                 if state in (EffectState.INTENDED, EffectState.IN_DOUBT)}  # fmt: skip
    assert look() == open_ones and len(open_ones) == 2


def test_alarms_that_nobody_rings(clock: Clock) -> None:
    worker(1)
    Alarm.objects.all().delete()
    Alarm.objects.create(what="decision.due:7", nominal_at=clock.now())
    assert look() == set()
    clock.advance(LONG)
    ((kind, subject),) = look()
    assert (kind, subject.split()[0]) == ("alarm", "decision.due:7")


def test_while_nothing_is_written_it_rests_until_something_could_be_overdue(clock: Clock, olivia: User) -> None:
    worker(1)
    stuck.watch()
    at = stuck._look_again[stuck.NAME]
    assert stuck.watch() == "Nothing was written since."
    with CaptureQueriesContext(connection) as asked:
        stuck.watch()
    assert not [query for query in asked if '"missions_' in query["sql"]]
    clock.advance((at - clock.now()).total_seconds() + 1)
    assert stuck.watch() == "Everything moves that should."


def test_it_goes_through_all_missions_in_stretches(
    clock: Clock, olivia: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    missions = [parcels.park(parcels.mission(olivia), "timer") for _ in range(5)]
    monkeypatch.setattr(stuck, "STRETCH", 2)
    Check.objects.create(name="stuck", ok=True, position=missions[0].pk - 1)
    assert len(look()) == 2
    assert stuck._look_again[stuck.NAME] <= clock.now()
    for expected in (4, 5):
        stuck.watch()  # also where nothing was written: the round is not over
        assert Stuck.objects.count() == expected
    assert Check.objects.get(name="stuck").position == 0
