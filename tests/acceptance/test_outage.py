"""The payment server goes away under two hundred missions; one action brings back all that have failed.

Each has paid once before. Those whose authors gave the look-up only seconds fail, as an author asked for; a payment
itself fails for no outage: it is waited out, and nobody has to do anything.
"""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.acceptance import checks, paying_missions
from tests.acceptance.people import Json
from tests.acceptance.processes import until
from tests.acceptance.system import MODULE, System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]
FAILING, WAITING = 180, 20  # one demo order each
PATIENCE_SECONDS = 30.0  # a loaded machine keeps those that go on within it
END_SECONDS = 120.0
STATES = "select count(*) from missions_mission where state = %s"
WHERE = "select state, waits_for, timeline, count(*) from missions_mission group by 1, 2, 3 order by 4 desc limit 10"
BEFORE = "select count(*) from missions_mission where waits_for = 'signal:go'"


def start(system: System) -> dict[str, str]:
    """All missions, once each has paid for the first time; their orders by id."""
    admin, orders = system.person("admin"), {}
    for number in range(FAILING + WAITING):
        order = f"ORD-{1001 + number}"
        type = "test.impatient" if number < FAILING else "test.patient"
        orders[admin.start(type, {"order_id": order, "patience_seconds": PATIENCE_SECONDS})] = order
    until("each has paid once", END_SECONDS, lambda: system.database.value(BEFORE) == len(orders))
    return orders


def fail_in_outage(system: System, uids: list[str]) -> None:
    """Kill the payment server and let all go on into it; it is back when all that can fail have failed."""
    system.payments.stop(signal.SIGKILL)
    for uid in uids:
        system.person("admin").signal(uid, "go", {}, key="go")
    until("all have failed", END_SECONDS, lambda: system.database.value(STATES, "failed") == FAILING)
    until("the others wait", END_SECONDS, lambda: system.database.value(BEFORE) == 0)
    system.payments.start("--no-dedup")


def retry_all(system: System) -> Json:
    """The one action of an operator."""
    body = {"filter": {"state": "failed"}, "verb": "retry", "reason": "The payment server is back", "key": "outage"}
    status, told = system.person("olivia").ask("POST", "missions/bulk", body=body)
    assert status == 200, told
    return dict(told)


def test_missions_failed_by_an_outage_recover_in_one_action(system: System) -> None:
    system.start_payments("verifiable", "--no-dedup", timeout=8.0)
    system.environment["MISSIONS_MODULES"] = f"{MODULE},{paying_missions.MODULE}"
    system.allow(paying_missions.POLICY)
    system.start_web()
    for _ in range(2):
        system.start_worker()
    orders = start(system)
    fail_in_outage(system, list(orders))
    told = retry_all(system)
    assert (told["taken"], told["refused"]) == (FAILING, 0)
    until(
        "all complete", END_SECONDS, lambda: system.database.value(STATES, "completed") == len(orders),
        tell=lambda: system.database.rows(WHERE),
    )
    facts = system.facts()
    failures = Counter(entry["payload"]["error"]["type"] for entry in facts["entries"] if entry["kind"] == "failed")
    assert failures == {"TimeoutError": FAILING}
    paid = Counter(system.payments.rows("select order_id, amount from payments"))
    assert paid == Counter((order, amount) for order in orders.values() for amount in ("0.01", "0.02"))
    requests = system.payments.rows("select key, count(*) from requests where tool = 'payments.refund' group by key")
    assert checks.repeated_requests(facts, requests, retries_count=False) == []
    assert {row["timeline"] for row in facts["missions"] if row["type"] == "test.impatient"} == {2}
    assert [entry for entry in facts["entries"] if entry["kind"] == "asked"] == []
    assert checks.unsound(facts) == []
    assert checks.still_waiting(facts, workers=2) == []
