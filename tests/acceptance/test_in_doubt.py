"""A refund was posted, and nobody was told: what each retry safety makes of it, by the ledger and the journal.

The payment server never answers after it posted, or dies between posting and answering; a worker dies with a call
intended and not yet made. Refunds have a time-out of five seconds here.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.acceptance import refunds
from tests.acceptance.people import Json
from tests.acceptance.processes import until
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
REFERENCE = "select 'RF-' || printf('%06d', id) from payments where order_id = ?"


@pytest.fixture(scope="module")
def system(site: System, request: pytest.FixtureRequest) -> Iterator[System]:
    """A payment server whose refunds have the retry safety that the test names, and a worker."""
    site.start_payments(request.param)
    site.start_worker(ready=False)
    yield site
    site.close()


def with_safety(safety: str) -> pytest.MarkDecorator:
    """Run the test where refunds have this retry safety; pytest runs all tests of one safety in a row."""
    return pytest.mark.parametrize("system", [safety], indirect=True, scope="module")


BOTH_FAULTS = pytest.mark.parametrize(
    ("fault", "order"), [("timeout_after_posting", "ORD-1001"), ("die_after_posting", "ORD-1002")]
)


def unanswered(system: System, fault: str, order: str) -> str:
    """A refund whose posting is not answered, because the server hangs or dies; a dead one comes back."""
    system.payments.set(**{fault: 1})
    uid = refunds.approved(system, order)
    if fault == "die_after_posting":
        assert system.payments.process.wait(refunds.END_SECONDS) == -signal.SIGKILL
        system.payments.stop()
        system.payments.start()
    return uid


def cut_off(system: System, order: str) -> str:
    """A refund whose only worker dies with the call intended and not made; another worker takes over."""
    for process in system.processes:
        if process.name.startswith("worker"):
            process.kill()
    victim = system.start_worker(crash_at="after_intent")
    uid = refunds.approved(system, order)
    assert victim.wait(refunds.END_SECONDS) == -signal.SIGKILL
    system.start_worker()
    return uid


def answer(system: System, uid: str, **vote: str) -> None:
    """Let olivia say what became of the effect in doubt."""
    (decision,) = until("olivia is asked", refunds.END_SECONDS, lambda: refunds.asked(system, "olivia", uid))
    assert decision["kind"] == "in_doubt"
    assert [choice["value"] for choice in decision["choices"]] == ["happened", "retry", "roll_back"]
    assert system.person("olivia").vote(decision, {"verdict": "approve", **vote})


def last_outcome(system: System, uid: str) -> Json:
    """How the refund's effect ended."""
    return refunds.entries(system, uid, "outcome")[-1]


@BOTH_FAULTS
@with_safety("keyed")
def test_keyed_refund_that_has_changed_its_own_evidence_is_looked_up(system: System, fault: str, order: str) -> None:
    """Policy wants the order to be as it was approved, and after the refund it is not: so no second call is made."""
    uid = unanswered(system, fault, order)
    assert refunds.ended(system, uid) == "refunded"
    assert len(refunds.entries(system, uid, "intent")) == len(refunds.entries(system, uid, "doubt")) == 1
    assert refunds.entries(system, uid, "probed")[-1]["found"] is True
    assert (refunds.entries(system, uid, "retry"), refunds.requests(system, uid)) == ([], [1])
    assert system.payments.refunds(order) == [refunds.AMOUNT]


@BOTH_FAULTS
@with_safety("verifiable")
def test_verifiable_refund_is_found_by_its_probe_and_adopted(system: System, fault: str, order: str) -> None:
    uid = unanswered(system, fault, order)
    assert refunds.ended(system, uid) == "refunded"
    assert refunds.entries(system, uid, "probed")[-1]["found"] is True
    outcome = last_outcome(system, uid)
    assert (outcome["state"], outcome["adopted"]) == ("done", True)
    assert outcome["result"]["reference"] == outcome["reference"]
    assert refunds.entries(system, uid, "retry") == []
    assert refunds.requests(system, uid) == [1]
    assert system.payments.refunds(order) == [refunds.AMOUNT]


@BOTH_FAULTS
@with_safety("manual")
def test_manual_refund_that_happened_is_adopted_on_a_persons_word(system: System, fault: str, order: str) -> None:
    uid = unanswered(system, fault, order)
    ((reference,),) = until("the refund is posted", refunds.END_SECONDS, lambda: system.payments.rows(REFERENCE, order))
    answer(system, uid, choice="happened", reference=reference)
    assert refunds.ended(system, uid) == "refunded"
    outcome = last_outcome(system, uid)
    assert (outcome["state"], outcome["adopted"], outcome["reference"]) == ("done", True, reference)
    assert refunds.requests(system, uid) == [1]
    assert system.payments.refunds(order) == [refunds.AMOUNT]


@with_safety("manual")
def test_manual_refund_that_did_not_happen_is_made_on_a_persons_word(system: System) -> None:
    uid = cut_off(system, "ORD-1003")
    answer(system, uid, choice="retry")
    assert refunds.ended(system, uid) == "refunded"
    assert [intent["generation"] for intent in refunds.entries(system, uid, "intent")] == [1, 2]
    assert refunds.requests(system, uid) == [0, 1]
    assert system.payments.refunds("ORD-1003") == [refunds.AMOUNT]


@with_safety("manual")
def test_mission_stops_at_an_effect_in_doubt_on_a_persons_word(system: System) -> None:
    uid = cut_off(system, "ORD-1004")
    answer(system, uid, choice="roll_back")
    mission = until("the mission ends", refunds.END_SECONDS, lambda: system.person("admin").ended(uid))
    assert mission["state"] == "cancelled"
    assert refunds.requests(system, uid) == [0]
    assert system.payments.refunds("ORD-1004") == []


@with_safety("verifiable")
def test_verifiable_refund_that_was_never_sent_is_made_after_its_deadline(system: System) -> None:
    uid = cut_off(system, "ORD-1005")
    assert refunds.ended(system, uid) == "refunded"
    assert refunds.entries(system, uid, "probed")[-1]["found"] is False
    assert refunds.requests(system, uid) == [0, 1]
    assert system.payments.refunds("ORD-1005") == [refunds.AMOUNT]


@with_safety("keyed")
def test_keyed_refund_that_was_never_sent_is_made_under_its_first_key(system: System) -> None:
    uid = cut_off(system, "ORD-1006")
    assert refunds.ended(system, uid) == "refunded"
    assert refunds.requests(system, uid) == [1]
    assert system.payments.refunds("ORD-1006") == [refunds.AMOUNT]
