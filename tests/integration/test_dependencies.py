"""Missions that start after others: what they wait for, what a failure means to them, and what is refused."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest

from missions.authoring import Context, Rejected, Verdict
from missions.engine import controls, history, registry
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.errors import InvalidInput
from missions.models import Alarm, Dependency, Mission, Signal, State
from tests import live_worker
from tests.conftest import Clock

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = dt.timedelta(hours=1)


async def stage(m: Context, request: dict[str, Any]) -> Verdict:
    if request.get("wait"):
        await m.wait_for_signal("go")
    if request.get("end") == "failed":
        raise ValueError("The stage collapsed.")
    if request.get("end") == "refused":
        raise Rejected("Not this one.")
    return Verdict("done")


registry.register("stage", 1, "Stage", stage)


def begin(*after: Mission, on_failure: str = "fail", **request: Any) -> Mission:
    return start("stage", request, after=[one.uid for one in after], on_failure=on_failure)[0]


def kinds(mission: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(mission.pk)]


def test_mission_starts_when_all_that_it_names_have_ended() -> None:
    first, second = begin(), begin(wait=True)
    last = begin(first, second)
    assert (last.state, last.waits_for, last.wake_at) == (State.WAITING, f"mission:{first.uid}", None)
    with live_worker.worker():
        live_worker.ended(first)
        live_worker.parked(last, f"mission:{second.uid}")
        assert kinds(last) == ["started"]
        live_worker.parked(second, "signal:go")
        deliver(second.pk, "go", {})
        live_worker.ended(last)
    assert last.outcome.verdict == "done" and history.verify(last).ok
    assert history.entries(last.pk)[0].payload["after"] == [str(first.uid), str(second.uid)]
    assert set(Dependency.objects.values_list("ended_as", flat=True)) == {"completed"}


def test_signal_does_not_make_a_waiting_mission_run_early() -> None:
    first = begin(wait=True)
    last = begin(first, wait=True)
    with live_worker.worker():
        deliver(last.pk, "go", {})
        live_worker.wait_until(last, lambda now: now.attempt == 1 and now.owner is None)
        assert (last.state, last.waits_for, kinds(last)) == (State.WAITING, f"mission:{first.uid}", ["started"])
        deliver(first.pk, "go", {})
        live_worker.ended(last)
    assert kinds(last) == ["started", "await", "signal", "completed"]


@pytest.mark.parametrize("end", ["failed", "refused"])
def test_failure_of_what_it_waits_for_cancels_a_mission_by_default(end: str) -> None:
    bad, never = begin(end=end), begin(wait=True)
    last = begin(bad, never)
    after_last = begin(last)
    with live_worker.worker():
        live_worker.ended(last)
        live_worker.ended(after_last)  # a cancelled one counts as failed for those that wait for it
    assert (last.state, last.reason, kinds(last)) == (State.CANCELLED, "dependency", ["started", "cancelled"])
    assert str(bad.uid) in last.outcome.summary and end in last.outcome.summary
    assert after_last.state == State.CANCELLED and "was cancelled" in after_last.outcome.summary
    assert history.verify(last).ok


def test_failure_may_be_taken_no_notice_of() -> None:
    last = begin(begin(end="failed"), on_failure="start")
    with live_worker.worker():
        live_worker.ended(last)
    assert last.state == State.COMPLETED


def test_failure_may_hold_a_mission_until_a_person_lets_it_go_on() -> None:
    last = begin(begin(end="failed"), on_failure="hold")
    with live_worker.worker():
        live_worker.wait_until(last, lambda now: now.state == State.PAUSED)
        assert (last.state, last.reason, kinds(last)) == (State.PAUSED, "dependency", ["started", "paused"])
        deliver(last.pk, "anything", {})
        controls.request(last.pk, "resume", by="olivia")
        live_worker.ended(last)
    assert last.state == State.COMPLETED
    assert kinds(last) == ["started", "paused", "control", "resumed", "completed"]


def test_resume_does_not_make_a_waiting_mission_run_early() -> None:
    first = begin(wait=True)
    last = begin(first)
    with live_worker.worker():
        controls.request(last.pk, "pause", by="olivia")
        live_worker.wait_until(last, lambda now: now.state == State.PAUSED)
        controls.request(last.pk, "resume", by="olivia")
        live_worker.parked(last, f"mission:{first.uid}")
        assert "completed" not in kinds(last)
        deliver(first.pk, "go", {})
        live_worker.ended(last)
    assert last.state == State.COMPLETED and history.verify(last).ok


def test_waiting_mission_can_be_cancelled() -> None:
    first = begin(wait=True)
    last, other = begin(first), begin(first)
    with live_worker.worker():
        controls.request(last.pk, "cancel", by="olivia", reason="Not needed.")
        live_worker.ended(last)
        deliver(first.pk, "go", {})
        live_worker.ended(other)  # it is told in the same transaction
    assert last.state == State.CANCELLED and not Dependency.objects.filter(met_at=None).exists()


def test_mission_that_has_ended_already_counts_as_met_and_its_failure_counts_too() -> None:
    good, bad = begin(), begin(end="failed")
    with live_worker.worker():
        live_worker.ended(good)
        live_worker.ended(bad)
        assert begin(good).waits_for == ""
        assert live_worker.ended(begin(good)).state == State.COMPLETED
        assert live_worker.ended(begin(good, bad)).state == State.CANCELLED


def test_missions_that_can_not_be_waited_for_are_refused_by_name() -> None:
    one, stranger = begin(wait=True), uuid.uuid4()
    cases = {
        "named twice": [one.uid, str(one.uid)], str(stranger): [stranger], "no mission id": ["yesterday"],
        "At most 100": [uuid.uuid4() for _ in range(101)],
    }
    for words, after in cases.items():
        with pytest.raises(InvalidInput) as refused:
            start("stage", {}, after=after)
        (error,) = refused.value.errors
        assert error["field"] == "after" and words in error["message"]
    with pytest.raises(InvalidInput) as refused:
        start("stage", {}, after=[one.uid], on_failure="shrug")
    assert refused.value.errors[0]["field"] == "on_failure"
    assert Mission.objects.count() == 1 and not Dependency.objects.exists()


def test_time_that_is_still_to_come_holds_a_mission_whose_others_have_ended(clock: Clock) -> None:
    first = begin()
    last, _ = start("stage", {}, after=[first.uid], start_at=clock.now().replace(microsecond=0) + HOUR)
    with live_worker.worker():
        live_worker.ended(first)
        live_worker.parked(last, "timer")
        assert kinds(last) == ["started"]
        deliver(last.pk, "early", {})  # a signal does not make it begin before its time
        live_worker.wait_until(last, lambda now: now.attempt == 2 and now.waits_for == "timer")
    clock.advance(hours=2)
    with live_worker.worker():
        live_worker.ended(last)
    assert last.state == State.COMPLETED


def test_passed_deadline_asks_for_a_control_once(clock: Clock) -> None:
    late, _ = start("stage", {"wait": True}, deadline_at=clock.now() + HOUR)
    quick, _ = start("stage", {}, deadline_at=clock.now() + HOUR)
    with live_worker.worker():
        live_worker.parked(late, "signal:go")
        live_worker.ended(quick)
    waiting = Alarm.objects.filter(what__startswith="mission.", rung_at=None)
    assert waiting.count() == 2
    clock.advance(hours=2)
    with live_worker.worker():
        live_worker.parked(late, "decision:")
        live_worker.wait_until(late, lambda now: not waiting.all().exists())
    (signal,) = Signal.objects.all()
    assert (signal.mission_id, signal.name, signal.seq) == (late.pk, "control", late.control_seq)
    assert "deadline has passed" in late.decisions.get().sentence


def test_deadline_in_the_past_is_refused_for_a_new_mission_only(clock: Clock) -> None:
    deadline = clock.now() + HOUR
    first, _ = start("stage", {}, key="k", deadline_at=deadline)
    clock.advance(hours=2)
    again, created = start("stage", {}, key="k", deadline_at=deadline)
    assert (again.pk, created) == (first.pk, False)
    with pytest.raises(InvalidInput) as refused:
        start("stage", {}, deadline_at=deadline)
    assert refused.value.errors[0]["field"] == "deadline_at"


def test_higher_priority_is_claimed_first() -> None:
    ran: list[int] = []

    async def note(m: Context, request: dict[str, Any]) -> None:
        ran.append(request["priority"])

    registry.register("noted", 1, "Noted", note)
    missions = [start("noted", {"priority": one}, priority=one)[0] for one in (0, -5, 100, 7)]
    with live_worker.worker(concurrency=1):
        for mission in missions:
            live_worker.ended(mission)
    assert ran == [100, 7, 0, -5]
    with pytest.raises(InvalidInput):
        start("noted", {"priority": 101}, priority=101)
