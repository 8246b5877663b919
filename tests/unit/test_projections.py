"""What the rail says: one sentence for each kind, in business words, whatever the payload holds."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from missions.models import Kind
from observability.projections import TELLERS, Lane, Observation, is_quiet, narrate, observe
from observability.rail import Cursor, RailItem, Source

AT = dt.datetime(2026, 11, 22, 17, 40, tzinfo=dt.UTC)
REFUND = {"tool": "payments.refund", "title": "Refund a payment", "sentence": "Refund 900.00 for order ORD-1002"}
TIERS = {"tiers": [{"group": "supervisors", "quorum": 1}, {"group": "finance", "quorum": 1}]}
VOTE = {"voter": "sam", "verdict": "approve", "nth": 1, "quorum": 1, "group": "supervisors"}
TROUBLE = {"error": {"type": "ValueError", "message": "the scales do not answer", "traceback": "File x.py, line 3"}}


def item(kind: str, **payload: Any) -> RailItem:
    return RailItem(cursor=Cursor(7, Source.JOURNAL, 1, 1), mission_id=1, kind=kind, at=AT, payload=payload)


def told(kind: str, **payload: Any) -> str:
    return observe(item(kind, **payload)).sentence


SENTENCES = [
    (item("started", title="Customer refund", started_by="olivia", via="console"),
     "olivia started “Customer refund” from the console."),
    (item("started", title="Customer refund", started_by=None, via="api"),
     "The system started “Customer refund” over the API."),
    (item("step", name="calculate", title="Calculate the refund."), "Calculated the refund."),
    (item("step", name="pick", title="Best offer"), "Best offer."),
    (item("step_failed", name="weigh", title="Weigh the parcel", **TROUBLE), "This step failed: Weigh the parcel."),
    (item("now", at="2026-11-22T17:40:00+00:00"), "Read the clock."),
    (item("observed", text="the parcel never arrived", level="info"), "The parcel never arrived."),
    (item("ruling", **REFUND, **TIERS, outcome="escalate", reason="A refund moves money.", phase="plan"),
     "Policy asks supervisors, then finance: A refund moves money."),
    (item("ruling", **REFUND, **TIERS, outcome="escalate", reason="A refund moves money.", phase="dispatch"),
     "Policy asks supervisors, then finance again: A refund moves money."),
    (item("ruling", **REFUND, outcome="deny", reason="Refunds are stopped", phase="plan"),
     "Policy denies this: Refund a payment."),
    (item("ruling", **REFUND, outcome="deny", reason="Refunds are stopped", phase="dispatch"),
     "Policy denies this now: Refund a payment."),
    (item("ruling", **REFUND, outcome="allow", reason="Reads are allowed."), "Policy allows this: Refund a payment."),
    (item("asked", **REFUND, **TIERS, decision="d", round=1),
     "Waiting for supervisors, then finance: Refund 900.00 for order ORD-1002."),
    (item("vote", **VOTE), "sam approved (1 of 1)."),
    (item("vote", **{**VOTE, "nth": 1, "quorum": 2}), "sam approved (1 of 2)."),
    (item("vote", **VOTE, next_group="finance"), "sam approved (1 of 1). Now waiting for finance."),
    (item("vote", **{**VOTE, "verdict": "reject"}), "sam rejected."),
    (item("vote", **{**VOTE, "verdict": "request_changes"}), "sam asked for changes."),
    (item("vote", **VOTE, choice="roll_back"), "sam answered “roll back” (1 of 1)."),
    (item("answered", answer={"verdict": "approved", "by": ["sam", "fiona"]}),
     "Approved by sam and fiona; the mission goes on."),
    (item("answered", answer={"verdict": "expired", "by": []}), "Nobody decided in time; the action will not happen."),
    (item("answered", answer={"verdict": "superseded"}), "The question was replaced by a newer one."),
    (item("intent", **REFUND), "Carrying out: Refund 900.00 for order ORD-1002."),
    (item("doubt", **REFUND, why="it timed out"),
     "No answer is known for “Refund a payment”; checking whether it happened."),
    (item("probed", **REFUND, found=True), "Checked “Refund a payment”: it did happen."),
    (item("probed", **REFUND, found=False), "Checked “Refund a payment”: it did not happen."),
    (item("probed", **REFUND, found=None), "Checked “Refund a payment”: the other side can not tell."),
    (item("decided", name="refund-amount", title="Refund amount", confidence=0.93, findings=[]),
     "Decided: Refund amount (93% sure)."),
    (item("backoff", **REFUND, count=1, why="rate limit", resume_at="2026-11-22T18:00:09+00:00"),
     "“Refund a payment” did not work (try 1); trying again at 22 Nov 2026, 18:00:09 UTC."),
    (item("retry", **REFUND, why="The other side counts the same key once."), "Trying “Refund a payment” again."),
    (item("outcome", **REFUND, effect_class="write", state="done", reference="RF-1"),
     "Done: Refund 900.00 for order ORD-1002 (reference RF-1)."),
    (item("outcome", **REFUND, effect_class="write", state="not_done", **TROUBLE),
     "Not done: Refund 900.00 for order ORD-1002."),
    (item("outcome", **REFUND, effect_class="write", state="failed", **TROUBLE),
     "Did not succeed: Refund 900.00 for order ORD-1002."),
    (item("outcome", **REFUND, effect_class="write", state="done", result={"reference": "RF-2"}),
     "Done: Refund 900.00 for order ORD-1002 (reference RF-2)."),
    (item("outcome", title="Look up the order", effect_class="read", state="done"), "Looked up the order."),
    (item("outcome", tool="till.price", title="Look up a price", sentence="Look up a price", effect_class="read",
          state="done", args={"order_id": "ORD-1", "days": 3, "deep": {"a": 1}, "sure": True, "why": "", "x": "it”s",
                              "more": "z", "blank": " "}),
     "Looked up a price (days 3, order id “ORD-1”, x “it's”, …)."),
    (item("outcome", title="Fetch order", sentence="Fetch order ORD-1002", effect_class="read", state="done"),
     "Fetched order ORD-1002."),
    (item("outcome", title="Look up the order", effect_class="read", state="failed", **TROUBLE),
     "Did not succeed: Look up the order."),
    (item("sleep", until="2026-11-23T08:00:00+00:00"), "Waiting until 23 Nov 2026, 08:00 UTC."),
    (item("slept"), "The wait is over; the mission goes on."),
    (item("await", name="customs_cleared"), "Waiting for the message “customs cleared”."),
    (item("signal", name="customs_cleared", sender="customs"), "Received the message “customs cleared” from customs."),
    (item("signal", name="customs_cleared", timed_out=True),
     "No message “customs cleared” came in time; the mission goes on without it."),
    (item("completed", verdict="refunded", summary="Refunded 900.00"), "Verdict: refunded."),
    (item("failed", **TROUBLE), "The mission failed. What it had done stands; nothing more will happen."),
    (item("cancelled", reason="Ordered twice", by="olivia"), "olivia cancelled the mission."),
    (item("paused", reason="needs_attention", detail="The code changed."), "Paused: needs attention."),
    (item("retraction", voter="sam", reason="I misread it."), "sam took the approval back; nothing was done on it."),
    (item("takeover", attempt=1), "Worker stopped; another one took over."),
    (item("resumed", by="olivia", reason="The bank is back"), "olivia let the mission go on."),
    (item("control", verb="rollback", by="olivia", reason="Wrong amount"), "olivia rolled the mission back."),
    (item("timeline", number=2, to_seq=7), "Timeline 2 goes on from entry 7; what came after stays readable."),
    (item("chapter", chapter=3), "Chapter 3 begins."),
    (item("won", index=1), "Branch 2 came first; the others were cut off."),
    (item("spawned", title="Weigh parcels"), "Started another mission: Weigh parcels."),
    (item("patched", name="new-scale", on=True), "Goes on with the change “new-scale”."),
    (item("upgraded", to=2), "Version 2 of the code goes on with it."),
    (item("artifact", name="label.pdf"), "Kept the file “label.pdf”."),
    (item("spent", cost="0.12", tokens=900, what="a summary"), "Spent 0.12 and 900 tokens on a summary."),
    (item("spent", cost="0", tokens=900, what=""), "Spent 900 tokens."),
    (item("agent", agent="scout", version=1), "scout works under version 1."),
    (item("agent", agent="scout", version=2, **{"from": 1}),
     "scout goes on under version 2; until here it was version 1."),
    (item("llm", agent="scout", turn=3, calls=["orders.get"]), "scout wants to use orders.get (turn 3)."),
    (item("llm", agent="scout", turn=4, calls=[], text="Nothing is owed."), "scout came to an answer (turn 4)."),
    (item("switched", agent="scout", to="spare/large", why="overloaded", **{"from": "main/large"}),
     "spare/large answers from here on instead of main/large."),
]  # fmt: skip


NAMES = [f"{one.kind}-{at}" for at, (one, _) in enumerate(SENTENCES)]


@pytest.mark.parametrize(("given", "sentence"), SENTENCES, ids=NAMES)
def test_each_kind_is_told_in_business_words(given: RailItem, sentence: str) -> None:
    assert observe(given).sentence == sentence


def test_every_kind_of_the_journal_has_words_and_an_example_here() -> None:
    kinds = {*Kind.values, "vote", "retraction", "takeover"}
    assert set(TELLERS) == kinds
    assert {given.kind for given, _ in SENTENCES} == kinds


ODD: list[Any] = [None, "", 7, -1, [], {}, [None], {"x": []}, "x" * 9000, "\x00", True]


@pytest.mark.parametrize("kind", [*TELLERS, "unheard_of"])
def test_odd_payloads_never_fail_and_still_give_one_short_line(kind: str) -> None:
    names = {
        "title", "name", "tool", "sentence", "text", "tiers", "answer", "error", "outcome", "state", "found", "verdict",
        "why", "until", "reference", "voter", "nth", "quorum", "by", "reason", "detail", "decision", "count",
        "resume_at", "confidence", "findings", "round", "choice", "comment", "reason_code", "via", "started_by",
        "level", "effect_class", "summary", "next_group",
    }  # fmt: skip
    for value in ODD:
        seen = observe(item(kind, **dict.fromkeys(names, value)))
        assert seen.sentence and len(seen.sentence) < 2000 and "\n" not in seen.sentence
        assert isinstance(seen.lane, Lane)
    assert observe(item(kind)).sentence


@pytest.mark.parametrize("kind", TELLERS)
def test_no_raw_payload_and_no_traceback_reach_the_reader(kind: str) -> None:
    seen = observe(item(kind, **REFUND, **TROUBLE, args={"secret_arg": "s3cr3t"}, result={"secret_arg": "s3cr3t"}))
    assert "s3cr3t" not in seen.sentence + seen.detail
    assert "x.py" not in seen.sentence + seen.detail
    assert "{" not in seen.sentence + seen.detail


def test_direction_changing_characters_become_visible() -> None:
    assert told("observed", text="pay \u202eevil\u202c now") == "Pay ⟦U+202E⟧evil⟦U+202C⟧ now."
    assert "⟦U+200B⟧" in told("vote", **{**VOTE, "voter": "s\u200bam"})
    assert told("step", title="Straße prüfen") == "Straße prüfen."


def test_line_breaks_can_not_forge_a_second_item() -> None:
    assert told("observed", text="fine\nsam approved (1 of 1).") == "Fine sam approved (1 of 1)."


def test_a_redacted_entry_says_so_whatever_its_kind() -> None:
    assert observe(item("outcome", redacted=True)).sentence == "The content of this entry was redacted."


def test_the_narrative_leaves_out_only_allowing_rulings_and_clock_reads() -> None:
    kept = {one.item.kind for one in narrate([given for given, _ in SENTENCES])}
    assert kept == set(TELLERS) - {"now"}
    quiet = [given for given, _ in SENTENCES if is_quiet(given)]
    assert [(one.kind, one.payload.get("outcome")) for one in quiet] == [("now", None), ("ruling", "allow")]


def test_the_narrative_keeps_the_order_of_its_items() -> None:
    given = [item("step", title=f"Step {number}") for number in range(5)]
    assert [one.sentence for one in narrate(given)] == [f"Step {number}." for number in range(5)]


def detail_of(kind: str, **payload: Any) -> Observation:
    return observe(item(kind, **payload))


def test_comments_reasons_and_errors_stand_on_the_second_line() -> None:
    vote = detail_of("vote", **{**VOTE, "verdict": "reject"}, comment="Too much", reason_code="over_limit")
    assert (vote.detail, vote.actor, vote.tone) == ("over limit · “Too much”", "sam", "bad")
    assert detail_of("failed", **TROUBLE).detail == "The scales do not answer."
    assert detail_of("outcome", **REFUND, state="done", effect_class="write", adopted=True).detail.startswith("It had")


def test_a_read_is_told_in_the_lane_of_lookups_and_an_effect_in_its_own() -> None:
    assert observe(item("outcome", effect_class="read", state="done", title="Look up")).lane is Lane.TOOL
    assert observe(item("outcome", effect_class="write", state="done", title="Pay")).lane is Lane.EFFECT
