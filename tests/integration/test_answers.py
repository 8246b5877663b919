"""Edits, held approvals and questions, as the mission gets them: a real worker, real decisions."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from pydantic import BaseModel

from approvals import holding, queue, votes
from approvals.models import Decision, Retraction, Vote
from approvals.policies import document, versions
from approvals.refusals import AlreadyVoted, BadVote, NotEligible, NotHeld, StaleDigest
from missions.authoring import ChangesRequested, Context, Rejected, ToolCall, Verdict, mission, tool
from missions.engine import feed, history
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.governance import Ruling, RulingOutcome
from missions.models import Effect, Kind, Mission
from tests import live_worker, shop
from tests.decisions import FINANCE, SUPERVISORS, answers, opened, waiting_mission

pytestmark = pytest.mark.django_db(transaction=True)
paid: list[dict[str, Any]] = []


@tool(name="answers.pay", effect="write", retry_safety="manual", sentence="Pay {amount} to {to}")
async def pay(call: ToolCall, amount: int, to: str, note: str = "") -> dict[str, Any]:
    """Pay out"""
    paid.append({"amount": amount, "to": to, "note": note})
    return {"paid": amount}


class Address(BaseModel):
    street: str
    number: int


@mission("till", version=1)
async def till(m: Context, request: dict[str, Any]) -> Verdict:
    """Pay once, and try again with the reviewer's words where changes are asked for."""
    try:
        return Verdict("paid", data=await m.tool("answers.pay", amount=request["amount"], to="Ann"))
    except ChangesRequested as asked:
        return Verdict("changes", summary=f"{asked.comment} ({asked.reason_code})")


@mission("inquire", version=1)
async def inquire(m: Context, request: dict[str, Any]) -> Verdict:
    """Ask in each way."""
    colour = await m.ask("colour", "Which colour?", options={"red": "Red as wine", "blue": "Blue"})
    words = await m.ask("words", "What to write on it?")
    place = await m.ask("place", "Where to send it?", schema=Address)
    try:
        await m.ask("more", "Anything else?")
    except Rejected as declined:
        return Verdict("told", data={"colour": colour, "words": words, "place": repr(place), "more": str(declined)})
    return Verdict("odd")


def rules(*table: dict[str, Any]) -> None:
    """Put a policy in force: under 500 supervisors say, from 500 finance too, over 5,000 it is denied."""
    tiers = [{"group": "supervisors", "quorum": 1}]
    rows = list(table) or [
        {"name": "till", "scope": {"tool": "answers.*"}, "effect": "escalate", "tiers": tiers,
         "reason": "Money moves."},
        {"name": "large", "scope": {"tool": "answers.*"}, "when": "args.amount >= 500", "effect": "escalate",
         "tiers": [*tiers, {"group": "finance", "quorum": 1}], "reason": "It is much."},
        {"name": "never", "scope": {"tool": "answers.*"}, "when": "args.amount > 5000", "effect": "deny",
         "reason": "Too much."},
    ]  # fmt: skip
    versions.load(document.check({"name": "till", "mode": "enforce", "rules": rows}), activate=True, via="test")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    paid.clear()
    rules()


def asked_of(run: Mission, nth: int = 0) -> Decision:
    live_worker.wait_until(run, lambda now: Decision.objects.filter(mission=now).count() > nth)
    return Decision.objects.filter(mission=run).order_by("opened_at")[nth]


def approve(decision: Decision, user: Any, **fields: Any) -> Any:
    decision.refresh_from_db()
    return votes.cast(decision.pk, user, "approve", decision.digest, channel="api", **fields)


@pytest.fixture
def simon(person: Any) -> Any:
    return person("simon", "supervisors")


def test_edited_arguments_are_what_is_done_after_another_person_and_policy_agree(sam, simon):
    with live_worker.worker():
        run, _ = start("till", {"amount": 400})
        decision = asked_of(run)
        before = decision.digest
        done = approve(decision, sam, edited_args={"amount": 120, "to": "Ann", "note": "less"}, comment="Too much.")
        assert (done.state, done.votes) == ("open", 0)
        decision.refresh_from_db()
        assert decision.digest != before and decision.sentence == "Pay 120 to Ann"
        with pytest.raises(NotEligible, match="You edited"):
            approve(decision, sam)
        with pytest.raises(StaleDigest):
            votes.cast(decision.pk, simon, "approve", before, channel="api")
        assert approve(decision, simon).state == "approved"
        run = live_worker.ended(run)
    assert paid == [{"amount": 120, "to": "Ann", "note": "less"}]
    assert run.outcome.data == {"paid": 120}
    entries = history.entries(run.pk)
    ruled = [entry.payload["phase"] for entry in entries if entry.kind == Kind.RULING]
    assert ruled == ["plan", "edited"]
    [intent] = [entry.payload for entry in entries if entry.kind == Kind.INTENT]
    assert intent["args"]["amount"] == 120 and intent["digest"] == decision.digest
    answer = next(entry.payload["answer"] for entry in entries if entry.kind == Kind.ANSWERED)
    assert (answer["edited_args"]["note"], answer["by"], answer["edit"]) == ("less", ["simon"], 1)


def test_an_edit_into_another_rule_opens_the_tier_that_is_missing(sam, simon, fiona):
    with live_worker.worker():
        run, _ = start("till", {"amount": 100})
        first = asked_of(run)
        approve(first, sam, edited_args={"amount": 900, "to": "Ann"})
        assert approve(first, simon).state == "approved"
        second = asked_of(run, 1)
        assert [tier.group for tier in second.tiers.all()] == ["supervisors", "finance"]
        assert second.action["args"]["amount"] == 900 and not paid
        with pytest.raises(NotEligible):  # who edited it decides on it in no round, and simon's vote stands
            approve(second, sam)
        assert approve(second, fiona).state == "approved"
        live_worker.ended(run)
    assert [one["amount"] for one in paid] == [900]


def test_what_policy_denies_or_the_schema_does_not_take_is_no_edit(sam):
    with live_worker.worker():
        run, _ = start("till", {"amount": 100})
        decision = asked_of(run)
    for args, field in (
        ({"amount": 6000, "to": "Ann"}, "edited_args"), ({"amount": "ten", "to": "Ann"}, "edited_args.amount"),
        ({"amount": 1}, "edited_args.to"), ({"amount": 100, "to": "Ann"}, "edited_args"),
        ({"amount": 1, "to": "Ann", "extra": 1}, "edited_args"),
    ):  # fmt: skip
        with pytest.raises(BadVote) as refused:
            approve(decision, sam, edited_args=args)
        assert refused.value.errors[0]["field"] == field, refused.value.errors
    assert not Vote.objects.exists()


def test_what_was_never_read_for_the_edited_arguments_is_no_edit(sam):
    tiers = [{"group": "supervisors", "quorum": 1}]
    evidence = [{"source": "answers.look"}]
    rules(
        {"name": "read", "scope": {"tool": "answers.pay"}, "effect": "escalate", "tiers": tiers, "reason": "It moves."},
        {"name": "much", "scope": {"tool": "answers.pay"}, "when": "args.amount >= 500", "effect": "escalate",
         "tiers": tiers, "evidence": evidence, "hold": "10m", "reason": "It is much."},
        {"name": "some", "scope": {"tool": "answers.pay"}, "when": "args.amount >= 200", "effect": "escalate",
         "tiers": tiers, "hold": "5m", "reason": "It is some."},
    )  # fmt: skip
    with live_worker.worker():
        run, _ = start("till", {"amount": 100})
        decision = asked_of(run)
    with pytest.raises(BadVote, match=r"answers\.look” was not read for this"):
        approve(decision, sam, edited_args={"amount": 600, "to": "Ann"})
    assert approve(decision, sam, edited_args={"amount": 300, "to": "Ann"}).state == "open"
    decision.refresh_from_db()
    assert decision.hold_seconds == 300  # of the rule that it falls under by now


def test_a_digest_that_changed_after_the_approval_is_refused_at_dispatch(sam, monkeypatch):
    with live_worker.worker():
        run, _ = start("till", {"amount": 100})
        decision = asked_of(run)
    approve(decision, sam)
    Decision.objects.filter(pk=decision.pk).update(digest="0" * 64)  # as if something else had been approved
    with live_worker.worker():
        second = asked_of(run, 1)
    assert not paid and second.digest == decision.digest
    outcome = next(entry.payload for entry in history.entries(run.pk) if entry.kind == Kind.OUTCOME)
    assert "Something else was approved" in outcome["error"]["message"]


def test_an_edit_voids_votes_starts_again_at_the_first_tier_and_no_digest_comes_back(sam, simon, fiona, person):
    felix = person("felix", "finance")
    with live_worker.worker():
        run, _ = start("till", {"amount": 600})
        decision = asked_of(run)
    approve(decision, sam)
    approve(decision, fiona, edited_args={"amount": 700, "to": "Ann"})
    decision.refresh_from_db()
    assert [tier.state for tier in decision.tiers.all()] == ["open", "waiting"]
    seen = {decision.asked_digest, decision.digest}
    approve(decision, simon, edited_args={"amount": 600, "to": "Ann"})
    decision.refresh_from_db()
    assert decision.digest not in seen and decision.editors == sorted([fiona.pk, simon.pk])
    approve(decision, sam)
    assert approve(decision, felix).state == "approved"
    with live_worker.worker():
        live_worker.ended(run)
    assert [one["amount"] for one in paid] == [600]


def test_the_mission_asking_again_does_not_supersede_an_edited_decision(sam, simon):
    with live_worker.worker():
        run, _ = start("till", {"amount": 400})
        decision = asked_of(run)
        live_worker.parked(run)
        approve(decision, sam, edited_args={"amount": 120, "to": "Ann"})
        deliver(run.pk, "nudge", {})  # it looks again, as after a takeover
        live_worker.wait_until(run, lambda now: now.attempt > 1 and now.state == "waiting")
        decision.refresh_from_db()
        assert decision.state == "open"
        approve(decision, simon)
        live_worker.ended(run)
    assert [one["amount"] for one in paid] == [120]


def test_changes_that_are_asked_for_reach_the_author_with_their_reason(sam):
    with live_worker.worker():
        run, _ = start("till", {"amount": 100})
        decision = asked_of(run)
        votes.cast(
            decision.pk, sam, "request_changes", decision.digest, comment="Split it.", reason_code="wrong_details",
            channel="api",
        )
        run = live_worker.ended(run)
    assert (run.outcome.verdict, run.outcome.summary) == ("changes", "Split it. (wrong_details)")


def test_changes_that_no_author_handles_are_the_verdict_and_no_failure(sam, olivia):
    shop.policy()
    with live_worker.worker():
        decision = shop.asked(shop.begun(olivia))
        votes.cast(
            decision.pk, sam, "request_changes", decision.digest, comment="Name the invoice.", channel="api",
        )
        run = live_worker.ended(decision.mission)
    told = (run.state, run.outcome.verdict, run.outcome.summary)
    assert told == ("completed", "changes_requested", "Changes requested: Name the invoice.")


def test_a_question_is_answered_by_option_text_and_form_and_may_be_declined(sam):
    with live_worker.worker():
        run, _ = start("inquire", {})
        colour = asked_of(run, 0)
        assert (colour.kind, colour.answers) == ("question", {"form": "options"})
        with pytest.raises(BadVote):
            approve(colour, sam, choice="green")
        approve(colour, sam, choice="blue")
        words = asked_of(run, 1)
        for wrong in (None, "  ", "x" * 4001, {"a": 1}, "a\x00b"):
            with pytest.raises(BadVote):
                approve(words, sam, answer=wrong)
        approve(words, sam, answer=" Happy <birthday> ")
        place = asked_of(run, 2)
        with pytest.raises(BadVote) as refused:
            approve(place, sam, answer={"street": "High Street", "number": "one"})
        assert refused.value.errors[0]["field"] == "answer.number"
        approve(place, sam, answer={"street": "High Street", "number": 1})
        votes.cast(asked_of(run, 3).pk, sam, "reject", asked_of(run, 3).digest, comment="No idea.", channel="api")
        run = live_worker.ended(run)
    assert run.outcome.data == {
        "colour": "blue", "words": "Happy <birthday>", "place": "Address(street='High Street', number=1)",
        "more": "No idea.",
    }  # fmt: skip


def test_who_seconds_an_answer_sends_the_same(sam, simon):
    decision = opened(
        waiting_mission(), {**SUPERVISORS, "quorum": 2}, kind="question", answers={"form": "text"},
    )  # fmt: skip
    assert approve(decision, sam, answer="Ten").state == "open"
    with pytest.raises(BadVote, match="sam has answered"):
        approve(decision, simon, answer="Eleven")
    assert approve(decision, simon, answer="Ten").resolution["value"] == "Ten"


def held(*tiers: dict[str, Any], seconds: float = 60) -> Decision:
    decision = opened(waiting_mission(), *tiers)
    Decision.objects.filter(pk=decision.pk).update(hold_seconds=seconds)
    return decision


def release(decision: Decision) -> bool:
    with transaction.atomic():
        return holding.release(decision.pk)


def test_a_held_approval_is_told_when_its_time_is_over(sam, clock):
    decision = held()
    assert approve(decision, sam).state == "approved"
    decision.refresh_from_db()
    assert decision.is_held and answers(decision) == []
    assert not release(decision)
    clock.advance(seconds=61)
    assert release(decision) and not release(decision)
    assert len(answers(decision)) == 1
    with pytest.raises(NotHeld):
        holding.undo(decision.pk, sam)


def test_undoing_reopens_it_and_keeps_the_votes_of_others(sam, fiona, simon, clock):
    decision = held(SUPERVISORS, FINANCE)
    approve(decision, sam)
    approve(decision, fiona)
    with pytest.raises(NotEligible):
        holding.undo(decision.pk, simon)
    holding.undo(decision.pk, sam, "I misread it.")
    decision.refresh_from_db()
    assert [tier.state for tier in decision.tiers.all()] == ["open", "met"]
    assert (decision.state, decision.resolution, Retraction.objects.get().reason) == ("open", None, "I misread it.")
    clock.advance(seconds=61)
    assert not release(decision) and answers(decision) == []
    assert approve(decision, sam).state == "approved"  # the same person may think again
    with pytest.raises(AlreadyVoted):
        Decision.objects.filter(pk=decision.pk).update(state="open")
        Decision.objects.get(pk=decision.pk).tiers.filter(order=1).update(state="open")
        votes.cast(decision.pk, sam, "reject", decision.digest, comment="No.", channel="api")
    Decision.objects.filter(pk=decision.pk).update(state="approved")
    clock.advance(seconds=61)
    assert release(decision)
    assert Decision.objects.get(pk=decision.pk).resolution["by"] == ["fiona", "sam"]


def test_nothing_is_undone_once_the_time_is_over_whether_or_not_the_alarm_rang(sam, clock):
    decision = held()
    approve(decision, sam)
    clock.advance(seconds=61)
    with pytest.raises(NotHeld):
        holding.undo(decision.pk, sam)


def test_a_held_approval_runs_by_the_workers_alarm_and_not_before(sam, clock):
    with live_worker.worker():
        run, _ = start("till", {"amount": 100})
        decision = asked_of(run)
        Decision.objects.filter(pk=decision.pk).update(hold_seconds=3600)
        live_worker.parked(run)
        approve(decision, sam)
        deliver(run.pk, "nudge", {})  # asking again gets no answer either
        live_worker.wait_until(run, lambda now: now.attempt > 1 and now.state == "waiting")
        assert not paid
        clock.advance(seconds=3601)
        feed.announce_due()
        live_worker.ended(run)
    assert len(paid) == 1 and Effect.objects.get(mission_id=run.pk).state == "done"


def test_the_hold_of_a_ruling_is_the_decisions(sam):
    ruling = Ruling(
        outcome=RulingOutcome.ESCALATE, reason="Slow.", tiers=(SUPERVISORS,), hold_seconds=90.0,
        evidence=({"source": "orders.get"},),
    )  # fmt: skip
    decision = opened(waiting_mission(), ruling=ruling)
    assert (decision.hold_seconds, decision.demands) == (90.0, [{"source": "orders.get"}])


def test_who_asked_may_withdraw_and_the_mission_is_told(sam, fiona):
    decision = opened(waiting_mission(started_by=fiona))
    with pytest.raises(NotEligible):
        queue.withdraw_own(decision.pk, sam, "Not mine.")
    with pytest.raises(BadVote):
        queue.withdraw_own(decision.pk, fiona, " ")
    queue.withdraw_own(decision.pk, fiona, "No longer needed.")
    decision.refresh_from_db()
    assert decision.state == "withdrawn" and len(answers(decision)) == 1
