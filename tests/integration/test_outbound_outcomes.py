"""The lane tells listeners of ends and of missions that need attention, and nobody else; on a real worker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals.models import Event, EventKind
from approvals.outbound import following, webhooks
from missions.authoring import Context, Verdict, mission
from missions.engine import listeners
from missions.engine.starting import start
from missions.models import Alarm, Mission
from tests import live_worker

pytestmark = pytest.mark.django_db(transaction=True)


@mission("test.outcome", title="Ends as told")
async def outcome(m: Context, request: dict[str, Any]) -> Verdict:
    if request.get("fail"):
        raise ValueError(request["fail"])
    if request.get("hang"):
        async with asyncio.timeout(0.05):
            await m.step("for ever", asyncio.Event().wait)
    return Verdict("grown")


def run(by: User | None = None, **request: Any) -> Mission:
    """A mission that a worker takes to its end, or to its pause."""
    with live_worker.worker():
        made = start("test.outcome", request, started_by=by)[0]
        done = live_worker.wait_until(made, lambda now: now.ended or now.state == "paused")
        asked = Alarm.objects.filter(what=f"mission.outcome:{made.pk}", rung_at=None)
        live_worker.wait_until(made, lambda now: not asked.exists())
    return done


def events() -> list[str]:
    return list(Event.objects.order_by("at").values_list("kind", flat=True))


def test_an_end_that_nobody_listens_to_leaves_no_row(olivia: User) -> None:
    run(olivia)
    assert not Alarm.objects.filter(what__startswith="mission.").exists() and events() == []


def test_who_listens_to_their_own_missions_hears_of_theirs_alone(olivia: User, sam: User) -> None:
    listeners.listen(listeners.of_person(olivia.pk))
    run(sam)
    assert events() == []
    done = run(olivia)
    told = Event.objects.get()
    assert (told.kind, told.mission_uid, told.facts["verdict"]) == (EventKind.COMPLETED, done.uid, "grown")
    run(olivia, fail="No van.")
    assert events() == [EventKind.COMPLETED, EventKind.FAILED]


def test_a_follower_hears_of_the_one_mission(olivia: User, sam: User) -> None:
    other = start("test.outcome", {}, started_by=sam)[0]
    following.follow(olivia, other)
    run(sam)
    assert Event.objects.get().mission_uid == other.uid


def test_a_webhook_for_all_hears_of_missions_that_nobody_started(olivia: User) -> None:
    hook, _ = webhooks.add(owner=olivia, name="ops", url="http://8.8.8.8/", events=["mission.failed"])
    run(fail="No van.")
    assert events() == [EventKind.FAILED]
    webhooks.drop(hook)
    run(fail="No van.")
    assert events() == [EventKind.FAILED]


def test_a_mission_that_stops_for_a_person_is_told_as_needing_attention(olivia: User) -> None:
    listeners.listen(listeners.ALL)
    assert run(olivia, hang=True).reason == "cut off"
    told = Event.objects.get()
    assert (told.kind, told.facts["reason"]) == (EventKind.ATTENTION, "cut off")
