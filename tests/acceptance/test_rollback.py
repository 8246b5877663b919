"""A refund that was paid is rolled back while workers die at every point of it; and many that an outage failed.

The payment is taken back once and paid anew once on the new timeline, whatever died where.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.acceptance import refunds
from tests.acceptance.people import Json, Reviewer
from tests.acceptance.processes import until
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
LEDGER = "select kind, amount from payments where order_id = ? order by id"
# Where the worker dies that takes the rollback, in the order in which it comes there.
POINTS = ("mid_flush:2", "after_ruling", "after_intent", "call_answered", "after_undo")


def approve(decision: Json) -> Json:
    """Whatever it is: yes."""
    return {"verdict": "approve"}


@pytest.fixture(scope="module")
def system(site: System) -> Iterator[System]:
    """A payment server and no worker yet; sam approves whatever he is asked."""
    site.start_payments("keyed")
    with Reviewer(site.person("sam"), approve):
        yield site
    site.close()


def refunded(system: System, order: str) -> str:
    """A refund that was approved and paid; its mission's id."""
    request = {"order_id": order, "amount": refunds.AMOUNT, "reason": "Arrived damaged"}
    uid = system.person("admin").start("refund", request)
    assert refunds.ended(system, uid) == "refunded"
    return uid


def roll_back(system: System, uid: str, to: int) -> None:
    """Read the preview and roll back to an entry."""
    operator = system.person("olivia")
    status, seen = operator.ask("GET", f"missions/{uid}/rollback?to={to}")
    assert status == 200 and seen["counts"]["compensable"] == 1, seen
    body = {"to": to, "reason": "Paid the wrong account", "preview_digest": seen["digest"]}
    status, told = operator.ask("POST", f"missions/{uid}/rollback", body=body)
    assert status == 202, told


def on_second_timeline(system: System, uid: str) -> Json | None:
    told = system.person("admin").mission(uid)
    return told if told["timeline"] == 2 and told["state"] == "completed" else None


@pytest.mark.parametrize(("number", "point"), list(enumerate(POINTS)), ids=POINTS)
def test_rollback_goes_on_wherever_its_worker_died(system: System, number: int, point: str) -> None:
    order = f"ORD-{1010 + number}"
    plain = system.start_worker()
    uid = refunded(system, order)
    plain.signal(signal.SIGTERM)
    plain.wait(refunds.END_SECONDS)
    victim = system.start_worker(crash_at=point)
    roll_back(system, uid, to=3)
    assert victim.wait(refunds.END_SECONDS) == -signal.SIGKILL
    assert f"crash point {point.partition(':')[0]}" in victim.output
    system.start_worker()
    until("it is paid anew", refunds.END_SECONDS, lambda: on_second_timeline(system, uid))
    for process in system.processes:
        if process.name.startswith("worker"):
            process.end()
    assert [kind for kind, _ in system.payments.rows(LEDGER, order)] == ["refund", "reversal", "refund"]
    status, verified = system.person("audrey").ask("GET", f"missions/{uid}/verify")
    assert status == 200 and verified["ok"], verified
