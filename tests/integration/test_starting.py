"""What a start and a signal write by their one statement each, and what they leave alone. No worker runs."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from missions.engine import history
from missions.engine.clock import database_now
from missions.engine.codec import INLINE_BYTES
from missions.engine.dsn import conninfo
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.errors import InvalidInput, MissionEnded, UnknownMission
from missions.models import Brief, Entry, Mission, Payload, Signal, State
from tests.conftest import Clock
from tests.corners import end_session_that_waits
from tests.integration.test_engine import define

pytestmark = pytest.mark.django_db(transaction=True)
TYPE = "starting.plain"


@pytest.fixture(autouse=True)
def _known() -> None:
    async def body(m: Any, request: dict[str, Any]) -> None:
        """Nothing."""

    define(TYPE, body)


def test_the_mission_that_comes_back_is_the_one_in_the_database(olivia: User) -> None:
    later = database_now() + dt.timedelta(hours=2)
    mission, _ = start(
        TYPE, {"a": 1}, title="A title", key="k", started_by=olivia, start_at=later, priority=7, deadline_at=later,
        via="console",
    )
    stored = Mission.objects.get(pk=mission.pk)
    assert {f.attname: getattr(mission, f.attname) for f in Mission._meta.concrete_fields} == {
        f.attname: getattr(stored, f.attname) for f in Mission._meta.concrete_fields
    }
    brief = Brief.objects.get(mission=mission)
    assert (brief.title, brief.started_by, brief.started_via, brief.start_at) == ("A title", olivia, "console", later)
    assert Entry.objects.get(mission_id=mission.pk).recorded_at == brief.started_at
    mission.priority = 8
    mission.save(update_fields=["priority"])  # not a second row


@pytest.mark.parametrize("size", [10, INLINE_BYTES * 2])
def test_the_link_that_the_database_makes_is_the_one_that_is_verified(size: int) -> None:
    mission, _ = start(TYPE, {"text": "x" * size})
    assert history.verify(mission).ok
    assert Payload.objects.count() == int(size > INLINE_BYTES)
    assert history.entries(mission.pk)[0].payload["input"] == {"text": "x" * size}


def test_a_repeated_start_writes_nothing_even_past_its_deadline(clock: Clock) -> None:
    soon = database_now() + dt.timedelta(hours=1)
    first, _ = start(TYPE, {"text": "x" * INLINE_BYTES}, key="k", deadline_at=soon)
    clock.advance(hours=2)
    again, created = start(TYPE, {"text": "x" * INLINE_BYTES}, key="k", deadline_at=soon)
    with pytest.raises(InvalidInput):
        start(TYPE, {}, key="another", deadline_at=soon)
    assert (again.pk, created) == (first.pk, False)
    assert Mission.objects.count() == Brief.objects.count() == Entry.objects.count() == Payload.objects.count() == 1


def test_a_start_joins_its_callers_transaction_and_spoils_nothing_there() -> None:
    with transaction.atomic():
        start(TYPE, {}, key="kept")
        with pytest.raises(RuntimeError), transaction.atomic():
            start(TYPE, {}, key="undone")
            raise RuntimeError
        assert start(TYPE, {}, key="kept")[1] is False
    assert [mission.idempotency_key for mission in Mission.objects.all()] == ["0:kept"]


def _blocked(act: Callable[[], Any]) -> list[Any]:
    """What an act in another thread comes to, which waits for a lock of ours until our transaction has ended."""
    came: list[Any] = []

    def run() -> None:
        try:
            connection.ensure_connection()
            connection.cursor().execute("set application_name = 'the second'")
            came.append(act())
        except MissionEnded as error:
            came.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        first = act()
        second = threading.Thread(target=run)
        second.start()
        end_session_that_waits("the second", "pg_blocking_pids")  # only sees that it waits
    second.join(20)
    return [first, *came]


def test_two_starts_with_one_key_at_the_same_time_are_one_mission() -> None:
    (one, made), (other, again) = _blocked(lambda: start(TYPE, {}, key="k"))
    assert (one.pk, made, again) == (other.pk, True, False)


def test_a_signal_that_waits_for_its_double_changes_nothing() -> None:
    mission, _ = start(TYPE, {})
    assert _blocked(lambda: deliver(mission.pk, "go", {}, key="once")) == [True, False]
    assert _blocked(lambda: deliver(mission.pk, "go", {})) == [True, True]
    assert list(Signal.objects.order_by("seq").values_list("seq", "key")) == [(1, "once"), (2, None), (3, None)]
    assert Mission.objects.get().inbox_seq == 3


def test_a_signal_wakes_a_paused_mission_only_where_it_waits_for_somebody() -> None:
    mission, _ = start(TYPE, {})
    for waits_for, woken in (("", False), ("decision:1", True)):
        Mission.objects.update(state=State.PAUSED, waits_for=waits_for, wake_at=None)
        deliver(mission.pk, "go", {})
        assert (Mission.objects.get().wake_at is not None) is woken


def test_what_has_ended_takes_no_new_mail_and_remembers_the_old() -> None:
    mission, _ = start(TYPE, {})
    deliver(mission.pk, "go", {}, key="old")
    Mission.objects.update(state=State.COMPLETED)
    assert deliver(mission.pk, "go", {}, key="old") is False
    with pytest.raises(MissionEnded):
        deliver(mission.pk, "go", {}, key="new")
    with pytest.raises(UnknownMission):
        deliver(mission.pk + 1, "go", {})
    assert Mission.objects.get().inbox_seq == 1


def test_a_hint_names_the_mission() -> None:
    with psycopg.connect(conninfo("standfast test"), autocommit=True) as listener:
        listener.execute("listen standfast_due")
        mission, _ = start(TYPE, {})
        deliver(mission.pk, "go", {})
        notes = list(listener.notifies(timeout=5, stop_after=2))
    assert [note.payload for note in notes] == [str(mission.pk)] * 2
