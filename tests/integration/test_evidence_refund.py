"""The refund mission, its demo policy and the real payment server: an order that is refunded elsewhere is not paid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from approvals import votes
from approvals.policies import files, versions
from approvals.refusals import BadVote
from missions.control import replay
from missions.engine import history
from missions.engine.starting import start
from missions.library.payments.ledger import Ledger
from missions.models import Effect
from missions.testing import workers
from missions.tools import catalogue, registry
from tests import live_worker
from tests.conftest import Person
from tests.payment_server import PaymentServer

pytestmark = pytest.mark.django_db(transaction=True)
TOOLS = ("orders.get", "payments.history", "payments.refund")


@pytest.fixture
def payments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PaymentServer]:
    """The other side, and its tools as this process's."""
    server = PaymentServer(tmp_path)
    described = server.server()
    for name in TOOLS:
        monkeypatch.setitem(registry._discovered(), name, catalogue.spec(described, name, entry=described.entry(name)))
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _demo_policy() -> None:
    [demo] = files.read(settings.BASE_DIR / "approvals" / "demo" / "refunds.yaml")
    versions.load(demo, activate=True)


REQUEST = {"order_id": "ORD-1001", "amount": "120.00", "reason": "Arrived damaged"}


def refunded_elsewhere(server: PaymentServer) -> None:
    """Somebody pays nearly all of the order back, past every mission."""
    ledger = Ledger(server.directory)
    ledger.refund("elsewhere", "ORD-1001", "1450.00")
    ledger.close()


def test_the_verdict_tells_what_people_approved_and_not_what_was_asked(
    payments: PaymentServer, sam: User, person: Person
) -> None:
    edited = {**REQUEST, "amount": "90.00"}
    with live_worker.worker():
        run = live_worker.parked(start("refund", REQUEST)[0], "decision:")
        asked = run.decisions.get()
        other = {**edited, "order_id": "ORD-1002"}
        with pytest.raises(BadVote, match="Evidence is missing"):  # nobody has read that order
            votes.cast(asked.pk, sam, "approve", asked.digest, edited_args=other, channel="api")
        votes.cast(asked.pk, sam, "approve", asked.digest, edited_args=edited, channel="api")
        asked.refresh_from_db()
        votes.cast(asked.pk, person("simon", "supervisors"), "approve", asked.digest, channel="api")
        run = live_worker.ended(run)
    assert payments.refunds("ORD-1001") == ["90.00"]
    assert (run.outcome.verdict, run.outcome.summary) == ("refunded", "Refunded 90.00 GBP for order ORD-1001.")


def test_an_order_that_is_refunded_elsewhere_between_the_two_gates_is_not_paid(
    payments: PaymentServer, sam: User
) -> None:
    with live_worker.worker():
        run = live_worker.parked(start("refund", REQUEST)[0], "decision:")
        first = run.decisions.get()
        refunded_elsewhere(payments)
        votes.cast(first.pk, sam, "approve", first.digest, channel="api")
        live_worker.wait_until(run, lambda now: now.decisions.count() == 2 and workers.is_parked(now))
        first.refresh_from_db()
        second = run.decisions.get(state="open")
        assert payments.refunds("ORD-1001") == ["1450.00"]
        assert (first.state, first.superseded_by) == ("superseded", second)
        changed = {one["source"]: {field["at"]: field for field in one["fields"]} for one in first.facts["changed"]}
        assert changed["orders.get"]["refundable"] == {"at": "refundable", "old": "1500.00", "new": "50.00"}
        assert changed["payments.history"]["payments[1]"]["new"]["amount"] == "1450.00"
        assert second.facts["changed"] == first.facts["changed"]
        votes.cast(second.pk, sam, "reject", second.digest, comment="It was refunded.", channel="api")
        live_worker.ended(run)
    assert (run.outcome.verdict, Effect.objects.filter(mission_id=run.pk).exists()) == ("rejected", False)
    assert payments.refunds("ORD-1001") == ["1450.00"]
    assert history.verify(run).ok
    replayed = replay.replay(run)
    assert (replayed.ok, replayed.detail) == (True, "")


def test_an_order_that_nobody_touched_is_paid_once(payments: PaymentServer, sam: User) -> None:
    with live_worker.worker():
        run = live_worker.parked(start("refund", REQUEST)[0], "decision:")
        decision = run.decisions.get()
        votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
        live_worker.ended(run)
    assert (run.outcome.verdict, payments.refunds("ORD-1001")) == ("refunded", ["120.00"])
    assert replay.replay(run).ok
