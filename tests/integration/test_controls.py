"""Controls on a real database and a real worker: pause to rollback, what is undone, and what stands."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import votes
from approvals.models import Decision
from approvals.policies import document, versions
from missions.authoring import Context, ToolCall, ToolFailed, Verdict, mission, tool
from missions.control import preview, rollback
from missions.engine import controls, feed, history
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.errors import ControlRefused
from missions.models import Effect, EffectState, Mission, Outcome, Signal, Timeline
from tests import live_worker
from tests.conftest import Clock

pytestmark = pytest.mark.django_db(transaction=True)


class Till:
    """What the tools of these tests did to the world, each request by its key."""

    def __init__(self) -> None:
        self.booked: list[tuple[str, int]] = []  # key, amount; an undoing is negative
        self.closed = False
        self.refuses: int | None = None  # an amount that it does not take back
        self.price = 900
        self.steps: list[str] = []
        self.may_end = threading.Event()

    @property
    def amounts(self) -> list[int]:
        return [amount for _, amount in self.booked]

    def book(self, key: str, amount: int) -> dict[str, Any]:
        if self.closed or self.refuses == -amount:
            raise ToolFailed("The till is closed.", code="closed")
        self.booked.append((key, amount))
        return {"amount": amount, "booking": len(self.booked)}


till = Till()
CHILDREN = ("Kept", "Left", "Done")


@tool(name="till.pay", effect="write", retry_safety="manual", compensate="till.take_back", sentence="Pay {amount}")
async def pay(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return till.book(call.idempotency_key, amount)


@tool(name="till.take_back", effect="write", retry_safety="manual", sentence="Take back {amount}")
async def take_back(call: ToolCall, amount: int, booking: int) -> dict[str, Any]:
    """Take back"""
    return till.book(call.idempotency_key, -amount)


@tool(name="till.gift", effect="irreversible", retry_safety="manual", sentence="Give {amount}")
async def gift(call: ToolCall, amount: int) -> dict[str, Any]:
    """Give"""
    return till.book(call.idempotency_key, amount)


def current_price() -> int:
    return till.price


def noted(name: str) -> str:
    till.steps.append(name)
    return name


@mission("till.order", version=1)
async def order(m: Context, request: dict[str, Any]) -> Verdict:
    """Wait for the go, pay what it costs now, and wait again."""
    await m.step("prepare", noted, "prepare")
    await m.wait_for_signal("amount")
    price = await m.step("price", current_price)
    for text in m.guidance:
        await m.observe(text)
    receipt = await m.tool(request["tool"], amount=price)
    await m.step("file", noted, "file")
    await m.wait_for_signal("close")
    return Verdict("paid", data=receipt)


@mission("till.slow", version=1)
async def slow(m: Context, request: dict[str, Any]) -> None:
    """A step that ends when the test says so."""
    await m.step("long", long_step)
    await m.wait_for_signal("close")


@mission("till.chain", version=1)
async def chain_of_tills(m: Context, request: dict[str, Any]) -> Verdict:
    """Start a till before and two after a step; the last is done at once."""
    await m.spawn("till.order", {"tool": "till.pay"}, title="Kept")
    await m.step("between", noted, "between")
    await m.spawn("till.order", {"tool": "till.pay"}, title="Left")
    await m.join(await m.spawn("till.fragile", {}, title="Done"))
    await m.wait_for_signal("close")
    return Verdict("closed")


async def long_step() -> str:
    till.steps.append("began")
    await asyncio.to_thread(till.may_end.wait, live_worker.PATIENCE)
    return "ended"


@mission("till.hasty", version=1)
async def hasty(m: Context, request: dict[str, Any]) -> Verdict:
    """Pays, and gives others only a moment, in a branch of its own where that is asked for."""
    await m.tool("till.pay", amount=1)
    waiting = m.wait_for(m.wait_for_signal("ready"), timeout=3600)
    await (m.gather(m.sleep(0), waiting) if request["nested"] else waiting)
    await m.tool("till.pay", amount=2)
    return Verdict("paid")


@mission("till.fragile", version=1)
async def fragile(m: Context, request: dict[str, Any]) -> Verdict:
    """Pay twice."""
    await m.tool("till.pay", amount=1)
    await m.tool("till.pay", amount=2)
    return Verdict("paid")


@mission("till.twice", version=1)
async def twice(m: Context, request: dict[str, Any]) -> None:
    """Pay twice and wait."""
    await m.tool("till.pay", amount=1)
    await m.tool("till.pay", amount=2)
    await m.wait_for_signal("close")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    till.__init__()  # type: ignore[misc]
    rules = [{"name": "free", "scope": {"tool": "till.*"}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "till", "mode": "enforce", "rules": rules}), activate=True, via="test")


def begin(kind: str = "till.order", by: User | None = None, **request: Any) -> Mission:
    return start(kind, {"tool": "till.pay", **request}, started_by=by)[0]


def kinds(mission: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(mission.pk)]


def seq_of(mission: Mission, kind: str, nth: int = 1) -> int:
    return [entry.seq for entry in history.entries(mission.pk) if entry.kind == kind][nth - 1]


def paid(mission: Mission, amount: int) -> Mission:
    """The mission once it has paid and waits to be closed."""
    live_worker.parked(mission, "signal:amount")
    till.price = amount
    deliver(mission.pk, "amount", {})
    return live_worker.parked(mission, "signal:close")


def taken(mission: Mission, seq: int) -> Mission:
    return live_worker.wait_until(mission, lambda now: now.control_done >= seq and now.owner is None)


def answer(mission: Mission, who: User, choice: str) -> None:
    decision = Decision.objects.get(mission=mission, state="open")
    votes.cast(decision.pk, who, "approve", decision.digest, choice=choice, channel="api")


def test_paused_mission_keeps_its_mail_and_goes_on_when_resumed() -> None:
    with live_worker.worker():
        run = live_worker.parked(begin(), "signal:amount")
        taken(run, controls.request(run.pk, "pause", reason="Lunch", by="olivia"))
        assert (run.state, run.reason) == ("paused", "paused by a person")
        till.price = 5
        deliver(run.pk, "amount", {})
        run.refresh_from_db()
        assert run.wake_at is None and till.booked == []
        controls.request(run.pk, "resume", by="olivia")
        live_worker.parked(run, "signal:close")
    assert till.amounts == [5] and till.steps == ["prepare", "file"]
    assert [kind for kind in kinds(run) if kind in ("control", "paused", "resumed")] == [
        "control", "paused", "control", "resumed",
    ]  # fmt: skip
    assert history.verify(run).ok


def test_pause_waits_for_a_running_step_and_stop_cuts_it_off() -> None:
    with live_worker.worker():
        patient, cut = begin("till.slow"), begin("till.slow")
        live_worker.wait_until(cut, lambda now: till.steps == ["began", "began"])
        stopped = controls.request(cut.pk, "stop")
        taken(cut, stopped)
        assert cut.reason == "stopped by a person" and "step" not in kinds(cut)
        paused = controls.request(patient.pk, "pause")
        till.may_end.set()
        taken(patient, paused)
        assert patient.state == "paused" and "step" in kinds(patient)
        controls.request(cut.pk, "resume")
        live_worker.parked(cut, "signal:close")
    assert till.steps == ["began"] * 3  # what was cut off ran again, what was recorded did not


def test_cancel_ends_it_and_leaves_what_was_done_unless_asked_to_undo() -> None:
    with live_worker.worker():
        left, undone = begin(), begin()
        paid(left, 5), paid(undone, 6)
        controls.request(left.pk, "cancel", reason="Not wanted", by="olivia")
        controls.request(undone.pk, "cancel", reason="Not wanted", by="olivia", compensate=True)
        live_worker.ended(left), live_worker.ended(undone)
    assert (left.state, undone.state) == ("cancelled", "cancelled")
    assert till.amounts == [5, 6, -6]
    assert left.outcome.summary == "Not wanted" and left.outcome.verdict == "cancelled"
    states = dict(Effect.objects.exclude(tool="till.take_back").values_list("mission_id", "state"))
    assert states == {left.pk: "done", undone.pk: "undone"}


def test_rollback_undoes_the_payment_and_the_new_timeline_pays_anew() -> None:
    with live_worker.worker():
        run = paid(begin(), 900)
        to_seq = seq_of(run, "step")
        seen = preview.preview(run, to_seq)
        assert seen.counts["compensable"] == 1 and seen.point.seq == to_seq
        till.price = 700
        asked = {"to": to_seq, "preview_digest": seen.digest, "guidance": "700 is right"}
        controls.request(run.pk, "rollback", reason="Wrong amount", by="olivia", **asked)
        live_worker.wait_until(run, lambda now: now.timeline == 2 and now.waits_for == "signal:close")
    # The signal was consumed after the point, so it came back.
    assert till.amounts == [900, -900, 700]
    assert len({key for key, _ in till.booked}) == 3
    assert till.steps == ["prepare", "file", "file"]
    opened = Timeline.objects.get(mission_id=run.pk)
    assert (opened.number, opened.parent, opened.to_seq, opened.guidance) == (2, 1, to_seq, "700 is right")
    assert history.verify(run).ok
    assert [entry.payload["text"] for entry in history.entries(run.pk) if entry.kind == "observed"] == ["700 is right"]
    generations = Effect.objects.filter(tool="till.pay").order_by("seq").values_list("generation", "state")
    assert list(generations) == [(1, "undone"), (2, "done")]


def test_rollback_cancels_the_children_it_leaves_behind_and_undoes_what_they_did() -> None:
    with live_worker.worker():
        run = live_worker.parked(begin("till.chain"), "signal:close")
        kept, left, done = (Mission.objects.get(parent=run.pk, brief__title=title) for title in CHILDREN)
        paid(left, 5)
        to_seq = seq_of(run, "step")
        seen = preview.preview(run, to_seq)
        assert [(one.uid, one.title, one.state) for one in seen.children] == [(str(left.uid), "Left", "waiting")]
        assert [one.title for one in preview.preview(run, 1).children] == ["Kept", "Left"]
        controls.request(run.pk, "rollback", by="olivia", to=to_seq, preview_digest=seen.digest)
        live_worker.wait_until(run, lambda now: now.timeline == 2 and now.waits_for == "signal:close")
        live_worker.ended(left)
    plan = next(e.payload["result"] for e in history.entries(run.pk) if e.path.endswith("/plan#1"))
    assert plan["children"] == [left.pk]
    kept.refresh_from_db(), done.refresh_from_db()
    assert (kept.state, left.state, done.state) == ("waiting", "cancelled", "completed")
    assert left.outcome.summary == "Its parent was rolled back to before its start."
    assert Effect.objects.get(mission_id=left.pk, tool="till.pay").state == EffectState.UNDONE
    assert sorted(till.amounts) == [-5, 1, 1, 2, 2, 5]
    assert Mission.objects.filter(parent=run.pk, brief__title="Left").count() == 2  # the new timeline has its own


def test_preview_is_outdated_once_a_child_that_it_names_has_ended() -> None:
    with live_worker.worker():
        run = live_worker.parked(begin("till.chain"), "signal:close")
        left = Mission.objects.get(parent=run.pk, brief__title="Left")
        seen = preview.preview(run, seq_of(run, "step"))
        controls.request(left.pk, "cancel")
        live_worker.ended(left)
    now = preview.preview(run, seq_of(run, "step"))
    assert now.children == () and now.digest != seen.digest


def test_child_that_has_ended_is_left_as_it_is_and_one_is_cancelled_once() -> None:
    with live_worker.worker():
        run = live_worker.parked(begin(), "signal:amount")
        rollback.leave_behind(run.pk, 7, 1, "olivia")
        rollback.leave_behind(run.pk, 7, 1, "olivia")
        live_worker.ended(run)
    rollback.leave_behind(run.pk, 7, 2, "olivia")
    assert kinds(run).count("control") == 1 and Signal.objects.filter(mission_id=run.pk).count() == 1


def test_completed_mission_is_rolled_back_and_adopts_what_stands() -> None:
    with live_worker.worker():
        run = paid(begin(tool="till.gift"), 900)
        deliver(run.pk, "close", {})
        live_worker.ended(run)
        controls.request(run.pk, "rollback", to=2, by="sam")
        live_worker.wait_until(run, lambda now: now.timeline == 2 and now.state == "completed")
    assert till.amounts == [900]
    adopted = next(entry.payload for entry in history.entries(run.pk) if entry.payload.get("adopted"))
    assert adopted["result"]["amount"] == 900 and "stands" in adopted["why"]
    assert history.verify(run).ok and Outcome.objects.get(mission=run).verdict == "paid"


@pytest.mark.parametrize(
    ("choice", "amounts", "verdict"),
    [("adopt", [900], "paid"), ("both", [900, 700], "paid"), ("stop", [900], "stopped")],
)
def test_standing_effect_with_other_arguments_opens_one_decision(
    olivia: User, choice: str, amounts: list[int], verdict: str
) -> None:
    with live_worker.worker():
        run = paid(begin(tool="till.gift"), 900)
        till.price = 700
        deliver(run.pk, "close", {})
        live_worker.ended(run)
        controls.request(run.pk, "rollback", to=2, by="sam")
        live_worker.parked(run, "decision:")
        assert till.amounts == [900] and Decision.objects.get(mission=run).kind == "standing"
        answer(run, olivia, choice)
        live_worker.ended(run)
    assert (till.amounts, run.outcome.verdict) == (amounts, verdict)


def test_rollback_of_a_preview_that_no_longer_holds_is_not_carried_out() -> None:
    with live_worker.worker():
        run = live_worker.parked(begin(), "signal:amount")
        seen = preview.preview(run, 2)
        paid(run, 5)
        asked = controls.request(run.pk, "rollback", to=2, preview_digest=seen.digest)
        taken(run, asked)
        live_worker.parked(run, "signal:close")
    assert run.timeline == 1 and till.amounts == [5]
    assert "was not carried out" in next(e.payload["text"] for e in history.entries(run.pk) if e.kind == "observed")


def test_failed_undo_asks_people_and_the_rollback_waits(olivia: User) -> None:
    with live_worker.worker():
        run = paid(begin(), 900)
        till.closed = True
        controls.request(run.pk, "rollback", to=2, by="sam")
        live_worker.parked(run, "decision:")
        assert run.timeline == 1
        till.closed = False
        answer(run, olivia, "retry")
        live_worker.wait_until(run, lambda now: now.timeline == 2 and now.waits_for == "signal:close")
    assert till.amounts == [900, -900, 900]


def test_undo_that_people_leave_done_stands(olivia: User) -> None:
    with live_worker.worker():
        run = paid(begin(), 900)
        till.closed = True
        controls.request(run.pk, "rollback", to=2, by="sam")
        live_worker.parked(run, "decision:")
        answer(run, olivia, "leave")
        live_worker.wait_until(run, lambda now: now.timeline == 2 and now.waits_for == "signal:close")
    assert till.amounts == [900]
    assert Effect.objects.get(tool="till.pay").state == EffectState.DONE


def test_failed_missions_are_tried_again_and_repeat_nothing() -> None:
    with live_worker.worker():
        run = begin("till.fragile")
        till_closes = threading.Event()
        original = till.book

        def second_fails(key: str, amount: int) -> dict[str, Any]:
            if amount == 2 and not till_closes.is_set():
                raise ToolFailed("The bank is away.", code="outage")
            return original(key, amount)

        till.book = second_fails  # type: ignore[method-assign]
        live_worker.ended(run)
        assert run.state == "failed" and till.amounts == [1]
        till_closes.set()
        controls.request(run.pk, "retry", by="olivia")
        live_worker.wait_until(run, lambda now: now.state == "completed")
    assert till.amounts == [1, 2] and run.timeline == 2
    assert Outcome.objects.get(mission=run).verdict == "paid"


@pytest.mark.parametrize("nested", [False, True])
def test_mission_that_failed_since_its_time_was_over_gets_that_time_anew(nested: bool, clock: Clock) -> None:
    with live_worker.worker():
        run = live_worker.parked(start("till.hasty", {"nested": nested})[0])
        clock.advance(seconds=3601)
        feed.announce_due()
        live_worker.ended(run)
        assert run.state == "failed" and "TimeoutError" in run.outcome.error
        controls.request(run.pk, "retry", by="olivia")
        live_worker.wait_until(run, lambda now: now.timeline == 2 and kinds(run).count("await") == 2)
        deliver(run.pk, "ready", {})
        live_worker.wait_until(run, lambda now: now.state == "completed")
    assert till.amounts == [1, 2]


def test_retry_asked_for_twice_goes_on_once() -> None:
    with live_worker.worker():
        run = begin("till.fragile")
        till.closed = True
        live_worker.ended(run)
    till.closed = False
    for _ in range(2):
        controls.request(run.pk, "retry", by="olivia")
    with live_worker.worker():
        live_worker.wait_until(run, lambda now: now.state == "completed" and now.control_done == now.control_seq)
    assert till.amounts == [1, 2] and run.timeline == 2


def test_verbs_that_mean_nothing_in_a_state_are_refused() -> None:
    with live_worker.worker():
        run = paid(begin(), 5)
        with pytest.raises(ControlRefused):
            controls.request(run.pk, "resume")
        with pytest.raises(ControlRefused):
            controls.request(run.pk, "retry")
        deliver(run.pk, "close", {})
        live_worker.ended(run)
        for verb in ("pause", "resume", "cancel", "retry", "stop"):
            with pytest.raises(ControlRefused):
                controls.request(run.pk, verb)


def test_same_key_counts_once() -> None:
    with live_worker.worker():
        run = live_worker.parked(begin(), "signal:amount")
        first = controls.request(run.pk, "pause", key="k")
        taken(run, first)
        assert controls.request(run.pk, "pause", key="k") == first
    assert kinds(run).count("paused") == 1


def test_mission_of_an_unknown_type_can_be_cancelled() -> None:
    run = begin()
    Mission.objects.filter(pk=run.pk).update(type="till.gone")
    controls.request(run.pk, "cancel", reason="Its code is gone")
    with live_worker.worker():
        live_worker.ended(run)
    assert run.state == "cancelled" and till.steps == []


def test_effect_that_nobody_knows_of_is_never_repeated_by_a_new_timeline_unasked(olivia: User) -> None:
    with live_worker.worker():
        run = paid(begin(tool="till.gift"), 900)
        deliver(run.pk, "close", {})
        live_worker.ended(run)
        # As where the rollback does not know its tool: it stays in doubt on the timeline that is left.
        Effect.objects.filter(mission_id=run.pk).update(state=EffectState.IN_DOUBT, tool="till.gone")
        controls.request(run.pk, "rollback", to=2, by="sam")
        live_worker.parked(run, "decision:")
        assert till.amounts == [900] and Decision.objects.get(mission=run).sentence.startswith("Nobody knows")
        answer(run, olivia, "adopt")
        live_worker.ended(run)
    assert till.amounts == [900] and "what it answered is not known" in run.outcome.error


def test_refused_control_leaves_a_quarantined_mission_where_it_was() -> None:
    """Quarantine pauses a mission without an entry: only its row tells of that."""
    run = begin()
    Mission.objects.filter(pk=run.pk).update(state="paused", reason="quarantined", wake_at=None)
    with live_worker.worker():
        controls.request(run.pk, "rollback", to=1, preview_digest="outdated", reason="Back", by="olivia")
        live_worker.wait_until(run, lambda now: now.control_done == now.control_seq and now.owner is None)
        assert (run.state, run.reason, run.wake_at) == ("paused", "quarantined", None)
        assert kinds(run) == ["started", "control", "step", "observed"] and not till.amounts
        controls.request(run.pk, "resume", by="olivia")
        live_worker.parked(run, "signal:amount")
    assert till.steps == ["prepare"] and run.reason == ""


@pytest.mark.parametrize("verb", ["cancel", "stop"])
def test_person_who_ends_or_stops_it_overtakes_a_rollback_that_waits_for_an_answer(olivia: User, verb: str) -> None:
    with live_worker.worker():
        run = paid(begin(), 900)
        till.closed = True
        controls.request(run.pk, "rollback", to=2, by="sam")
        live_worker.parked(run, "decision:")
        controls.request(run.pk, verb, reason="Enough", by="olivia")
        state = "cancelled" if verb == "cancel" else "paused"
        live_worker.wait_until(run, lambda now: now.state == state and now.control_done == now.control_seq)
    assert run.timeline == 1 and till.amounts == [900]
    assert [one.state for one in Decision.objects.filter(mission=run)] == ["withdrawn"]
    assert history.verify(run).ok


def test_rollback_that_was_overtaken_after_it_undid_something_leaves_the_mission_paused(olivia: User) -> None:
    """Half undone, the old timeline must not go on as if nothing had been; asked for again, the rollback goes on."""
    with live_worker.worker():
        run = live_worker.parked(begin("till.twice"), "signal:close")
        till.refuses = 1
        controls.request(run.pk, "rollback", to=1, by="sam")
        live_worker.parked(run, "decision:")
        assert till.amounts == [1, 2, -2]
        controls.request(run.pk, "pause", reason="Wait", by="olivia")
        live_worker.wait_until(run, lambda now: now.state == "paused" and now.control_done == now.control_seq)
        assert run.reason == "control given up"
        till.refuses = None
        controls.request(run.pk, "rollback", to=1, by="sam")
        live_worker.wait_until(run, lambda now: now.timeline == 2 and now.waits_for == "signal:close")
    assert till.amounts == [1, 2, -2, -1, 1, 2]


def test_question_of_a_rollback_is_not_overtaken_by_what_can_wait(olivia: User) -> None:
    with live_worker.worker():
        run = paid(begin(), 900)
        till.closed = True
        controls.request(run.pk, "rollback", to=2, by="sam")
        live_worker.parked(run, "decision:")
        controls.request(run.pk, "rollback", to=1, by="olivia")
        live_worker.wait_until(run, lambda now: now.owner is None and now.waits_for.startswith("decision:"))
        assert run.control_done < run.control_seq - 1
        till.closed = False
        answer(run, olivia, "retry")
        live_worker.wait_until(run, lambda now: now.timeline == 3 and now.waits_for == "signal:close")
