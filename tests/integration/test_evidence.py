"""Evidence that policy demands: read again where it is old, and before the effect; what has changed pays nothing."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import superseding, votes
from approvals.models import Decision
from approvals.policies import document, versions
from missions.authoring import (
    Context,
    OutcomeUnknown,
    ProbeResult,
    ToolCall,
    ToolFailed,
    TryLater,
    Verdict,
    mission,
    tool,
)
from missions.control import lineage
from missions.engine import feed, history, mailbox, period_budgets
from missions.engine.starting import start
from missions.models import BudgetCharge, Effect, Kind, Mission
from missions.testing import workers
from tests import live_worker
from tests.conftest import Clock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("noon")]


class Shop:
    """The other side: what an order says, what was paid, and what goes wrong."""

    def __init__(self) -> None:
        self.left = "100.00"
        self.reads: list[str] = []
        self.paid: list[str] = []
        self.faults: list[str] = []
        self.closed = False  # whether orders can not be read
        self.elsewhere = ""  # what becomes of the order as soon as a payment is tried
        self.reading = threading.Event()

    def pay(self, key: str) -> dict[str, Any]:
        fault = self.faults.pop(0) if self.faults else ""
        if self.elsewhere:
            self.left, self.elsewhere = self.elsewhere, ""
        if fault == "later":
            raise TryLater("Not now.", retry_after_seconds=0.01)
        if fault != "lost before":
            self.paid.append(key)
            self.left = "0.00"
        if fault:
            raise OutcomeUnknown("The connection was lost.")
        return {"reference": f"R{len(self.paid)}"}


shop = Shop()


@tool(name="stall.order", title="Fetch order")
async def order(call: ToolCall, order_id: str) -> dict[str, Any]:
    """Fetch order"""
    if shop.closed:
        raise ToolFailed("The shop is closed.", code="closed")
    shop.reads.append(order_id)
    return {"id": order_id, "left": shop.left}


async def look_up(call: ToolCall, order_id: str) -> ProbeResult:
    found = call.idempotency_key in shop.paid
    return ProbeResult(found=found, result={"reference": "probed"} if found else None, reference="probed" * found)


@tool(name="stall.pay", effect="write", retry_safety="keyed", sentence="Pay for {order_id}")
async def pay(call: ToolCall, order_id: str) -> dict[str, Any]:
    """Pay"""
    return shop.pay(call.idempotency_key)


@tool(name="stall.pay_probed", effect="write", retry_safety="keyed", probe=look_up, timeout=30)
async def pay_probed(call: ToolCall, order_id: str) -> dict[str, Any]:
    """Pay"""
    return shop.pay(call.idempotency_key)


@mission("stall.refund", version=1)
async def refund(m: Context, request: dict[str, Any]) -> Verdict:
    """Read an order, maybe wait, and pay."""
    for name in request["reads"]:
        await m.tool("stall.order", order_id=name)
    if request.get("waits"):
        await m.wait_for_signal("go")
    return Verdict("paid", data=await m.tool(request.get("tool", "stall.pay"), order_id="A"))


DEMAND = {"source": "stall.order", "revalidate": True}


def put(effect: str = "escalate", *demands: dict[str, Any]) -> None:
    """A policy in force for payments, with these demands."""
    tiers = {"tiers": [{"group": "supervisors", "quorum": 1}]} if effect == "escalate" else {}
    rule = {"name": "pay", "scope": {"tool": "stall.pay*"}, "effect": effect, **tiers, "evidence": list(demands)}
    versions.load(document.check({"name": "shop", "mode": "enforce", "rules": [rule]}), activate=True, via="test")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    shop.__init__()  # type: ignore[misc]
    put("escalate", DEMAND)


def begin(*reads: str, **request: Any) -> Mission:
    return start("stall.refund", {"reads": list(reads), **request})[0]


def told(run: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(run.pk) if entry.path.startswith("stall.pay")]


def last(run: Mission, kind: Kind) -> dict[str, Any]:
    return [entry.payload for entry in history.entries(run.pk) if entry.kind == kind][-1]


def asked(run: Mission, number: int = 1) -> Decision:
    """The decision of this number, once the mission waits for it."""
    live_worker.wait_until(run, lambda now: now.decisions.count() == number and workers.is_parked(now))
    return run.decisions.order_by("opened_at").last()  # type: ignore[return-value]


def approve(decision: Decision, by: User) -> None:
    votes.cast(decision.pk, by, "approve", decision.digest, channel="api")


AGAIN = ["observed", "ruling", "outcome"]  # it reads again, with a ruling of its own


def test_evidence_that_is_unchanged_is_read_again_and_paid_on(sam: User) -> None:
    with live_worker.worker():
        run = begin("A")
        approve(asked(run), sam)
        live_worker.ended(run)
    assert told(run) == ["ruling", "asked", "answered", *AGAIN, "intent", "outcome"]
    assert (shop.reads, len(shop.paid), run.outcome.verdict) == (["A", "A"], 1, "paid")


def test_an_order_that_is_refunded_elsewhere_between_the_gates_is_not_paid_and_asked_anew(sam: User) -> None:
    with live_worker.worker():
        run = begin("A")
        first = asked(run)
        shop.left = "0.00"
        approve(first, sam)
        second = asked(run, 2)
        assert shop.paid == []
        first.refresh_from_db()
        [changed] = first.facts["changed"]
        assert (first.state, first.superseded_by_id, first.votes.count()) == ("superseded", second.pk, 1)
        assert changed["fields"] == [{"at": "left", "old": "100.00", "new": "0.00"}]
        assert first.facts["approved"]["by"] == ["sam"]
        why = "“Fetch order” has changed (left was 100.00, is 0.00)."
        assert first.resolution["comment"] == why
        assert second.facts["changed"] == [changed] and second.digest != first.digest
        votes.cast(second.pk, sam, "reject", second.digest, comment="It was refunded.", channel="api")
        live_worker.ended(run)
    assert told(run) == ["ruling", "asked", "answered", *AGAIN, "answered", "ruling", "asked", "answered"]
    assert (run.outcome.verdict, shop.paid, Effect.objects.filter(mission_id=run.pk).count()) == ("rejected", [], 0)


def test_people_who_have_seen_the_new_evidence_may_approve_it(sam: User) -> None:
    with live_worker.worker():
        run = begin("A")
        first = asked(run)
        shop.left = "50.00"
        approve(first, sam)
        approve(asked(run, 2), sam)
        live_worker.ended(run)
    assert (run.outcome.verdict, len(shop.paid)) == ("paid", 1)


@pytest.mark.parametrize("reads", [(), ("B",)])
def test_what_was_never_read_of_this_order_denies(reads: tuple[str, ...]) -> None:
    with live_worker.worker():
        run = live_worker.ended(begin(*reads))
    assert run.outcome.verdict == "denied" and not run.decisions.exists()
    assert run.outcome.summary == "Evidence is missing: “Fetch order” was not read for this."


def test_the_read_that_is_about_the_same_order_counts(sam: User) -> None:
    with live_worker.worker():
        run = begin("A", "B")
        approve(asked(run), sam)
        live_worker.ended(run)
    assert shop.reads == ["A", "B", "A"]


@pytest.mark.parametrize(("max_age", "read_again"), [("1h", True), ("3h", False)])
def test_evidence_that_is_too_old_is_read_again_before_people_are_asked(
    max_age: str, read_again: bool, sam: User, clock: Clock
) -> None:
    put("escalate", {"source": "stall.order", "max_age": max_age})
    with live_worker.worker():
        run = live_worker.parked(begin("A", waits=True), "signal:")
        clock.advance(hours=2)
        shop.left = "70.00"
        feed.announce_due()
        mailbox.deliver(run.pk, "go", {})
        decision = asked(run)
        seen = last(run, Kind.ASKED)["evidence"][0]
        assert (decision.state, len(shop.reads)) == ("open", 2 if read_again else 1)
        assert (seen["version"] != last(run, Kind.RULING).get("rests_on", [{}])[0].get("version", "")) or not read_again
        approve(decision, sam)
        live_worker.ended(run)
    assert len(shop.paid) == 1


def test_evidence_that_can_not_be_read_again_denies(sam: User) -> None:
    with live_worker.worker():
        run = begin("A")
        decision = asked(run)
        shop.closed = True
        approve(decision, sam)
        live_worker.ended(run)
    assert (run.outcome.verdict, shop.paid) == ("denied", [])
    assert run.outcome.summary == (
        "Evidence is missing: “Fetch order” could not be read again: The shop is closed."
    )


def test_what_a_rule_allowed_on_evidence_that_has_changed_is_denied() -> None:
    put("allow", DEMAND)
    shop.faults, shop.elsewhere = ["later"], "60.00"
    with live_worker.worker():
        run = live_worker.ended(begin("A"))
    assert (run.state, shop.paid) == ("failed", [])
    assert "“Fetch order” has changed (left was 100.00, is 60.00)." in run.outcome.error


def test_what_is_denied_before_its_intent_gives_back_what_it_held() -> None:
    period_budgets.add(name="daily", counts="effects", amount=Decimal(1), period="day")
    put("allow", DEMAND)
    with live_worker.worker():
        run = begin("A", waits=True)
        live_worker.parked(run, "signal:go")
        shop.left = "60.00"
        mailbox.deliver(run.pk, "go", {})
        live_worker.ended(run)
        held = list(BudgetCharge.objects.values_list("state", flat=True))
        live_worker.ended(begin("A"))
    assert (run.outcome.verdict, held, len(shop.paid)) == ("denied", ["returned"], 1)


def test_what_changes_while_a_call_is_put_off_is_ruled_on_again(sam: User) -> None:
    shop.faults, shop.elsewhere = ["later"], "60.00"
    with live_worker.worker():
        run = begin("A")
        approve(asked(run), sam)
        second = asked(run, 2)
        assert shop.paid == [] and last(run, Kind.OUTCOME)["state"] == "not_done"
        approve(second, sam)
        live_worker.ended(run)
    assert run.decisions.filter(state="superseded").count() == 1
    assert (run.outcome.verdict, len(shop.paid)) == ("paid", 1)


def test_a_call_in_doubt_is_looked_up_where_its_evidence_has_changed(sam: User) -> None:
    """It may be its own doing that has changed it."""
    shop.faults = ["lost after"]
    with live_worker.worker():
        run = begin("A", tool="stall.pay_probed")
        approve(asked(run), sam)
        live_worker.ended(run)
    assert told(run)[-6:] == ["doubt", *AGAIN, "probed", "outcome"]
    assert (run.outcome.data, len(shop.paid)) == ({"reference": "probed"}, 1)


def test_a_call_in_doubt_without_a_probe_asks_people_where_its_evidence_has_changed(sam: User, olivia: User) -> None:
    shop.faults = ["lost after"]
    with live_worker.worker():
        run = begin("A")
        approve(asked(run), sam)
        doubted = asked(run, 2)
        assert doubted.kind == "in_doubt" and len(shop.paid) == 1
        votes.cast(doubted.pk, olivia, "approve", doubted.digest, choice="happened", reference="R1", channel="api")
        live_worker.ended(run)
    assert (run.outcome.verdict, len(shop.paid)) == ("paid", 1)


def test_a_call_in_doubt_that_did_not_happen_is_asked_anew_on_changed_evidence(sam: User, olivia: User) -> None:
    shop.faults, shop.elsewhere = ["lost before"], "60.00"
    with live_worker.worker():
        run = begin("A")
        first = asked(run)
        approve(first, sam)
        doubted = asked(run, 2)
        votes.cast(doubted.pk, olivia, "approve", doubted.digest, choice="retry", channel="api")
        second = asked(run, 3)
        assert (second.kind, second.facts["supersedes"], shop.paid) == ("action", str(first.pk), [])
        approve(second, sam)
        live_worker.ended(run)
    assert (run.outcome.verdict, len(shop.paid)) == ("paid", 1)


def test_a_call_in_doubt_whose_evidence_is_unchanged_is_called_again(sam: User) -> None:
    shop.faults = ["lost before"]
    with live_worker.worker():
        run = begin("A")
        approve(asked(run), sam)
        live_worker.ended(run)
    assert told(run)[-6:] == ["doubt", *AGAIN, "retry", "outcome"]
    assert len(shop.paid) == 1


def test_a_demand_that_policy_made_in_the_meantime_is_met_before_the_call(sam: User) -> None:
    put("escalate")
    with live_worker.worker():
        run = begin("A")
        first = asked(run)
        put("escalate", DEMAND)
        approve(first, sam)
        second = asked(run, 2)
        assert (shop.paid, last(run, Kind.ASKED)["evidence"][0]["source"]) == ([], "stall.order")
        approve(second, sam)
        live_worker.ended(run)
    assert len(shop.paid) == 1 and shop.reads == ["A", "A"]


def test_a_rollback_goes_to_no_point_within_a_call_that_reads_again(sam: User) -> None:
    with live_worker.worker():
        run = begin("A")
        approve(asked(run), sam)
        live_worker.ended(run)
    entries = history.entries(run.pk)
    again = next(entry.seq for entry in entries if "/evidence#1" in entry.path)
    before = next(entry.seq for entry in entries if entry.path == "stall.pay#1") - 1
    assert lineage.snap(run, again).seq == before


@mission("stall.chapters", version=1)
async def chapters(m: Context, request: dict[str, Any]) -> Verdict:
    """Read in one chapter, pay in the next."""
    if request.get("seen"):
        return Verdict("paid", data=await m.tool("stall.pay", order_id="A"))
    await m.tool("stall.order", order_id="A")
    return await m.continue_as({"seen": True})


def test_what_an_earlier_chapter_read_is_evidence_too(sam: User) -> None:
    with live_worker.worker():
        run = start("stall.chapters", {})[0]
        approve(asked(run), sam)
        live_worker.ended(run)
    assert (run.outcome.verdict, len(shop.paid), len(shop.reads)) == ("paid", 1, 2)


def test_an_approval_is_taken_back_once_and_a_rejection_stays(sam: User) -> None:
    with live_worker.worker():
        run = begin("A")
        decision = asked(run)
        votes.cast(decision.pk, sam, "reject", decision.digest, comment="No.", channel="api")
        live_worker.ended(run)
    superseding.supersede(decision.pk, "Late.", [])
    superseding.supersede(run.uid, "Unknown.", [])
    decision.refresh_from_db()
    assert (decision.state, "changed" in decision.facts) == ("rejected", False)
