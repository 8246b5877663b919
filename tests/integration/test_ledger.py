"""The ledger: what comes, what is done, and what its faults make of each retry safety."""

from __future__ import annotations

from typing import Any

import pytest

from missions.authoring import Context, ToolCall, Verdict
from missions.models import Mission
from missions.testing import Clock, Ledger, allowing, ended, parked, worker
from tests import corners

pytestmark = pytest.mark.django_db(transaction=True)
bank = Ledger("test bank")


def pay(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return {"paid": amount}


for safety in ("keyed", "verifiable", "manual"):
    bank.tool(f"ledger.{safety}", retry_safety=safety, timeout=5)(pay)


@pytest.fixture(autouse=True)
def _empty() -> None:
    bank.clear()


async def body(m: Context, request: dict[str, Any]) -> Verdict:
    return Verdict("paid", data=await m.tool(f"ledger.{request['safety']}", amount=3))


def paid(safety: str, *, happened: bool = False) -> Mission:
    name = corners.define("ledger.pay", body)
    with allowing(lambda key: happened), worker():
        return ended(corners.begin(name, safety=safety))


@pytest.mark.parametrize(
    ("safety", "fault", "requests"),
    [
        ("keyed", "lost_answer", 2), ("keyed", "lost_request", 2), ("keyed", "later", 2),
        ("verifiable", "lost_answer", 1), ("manual", "lost_request", 2),
    ],
)  # fmt: skip
def test_faults_are_survived_and_counted(safety: str, fault: str, requests: int) -> None:
    bank.fail(fault)
    run = paid(safety)
    assert run.outcome.data == {"paid": 3}
    assert (len(bank.requests), len(bank.postings), bank.repeated()) == (requests, 1, [])


def test_person_says_that_a_manual_effect_happened() -> None:
    bank.fail("lost_answer")
    run = paid("manual", happened=True)
    assert run.outcome.data == {"reference": "test"} and len(bank.requests) == len(bank.postings) == 1


def test_declared_refusal_fails_the_mission() -> None:
    bank.fail("refused")
    run = paid("keyed")
    assert run.state == "failed" and bank.postings == []


def test_lost_request_of_a_verifiable_tool_waits_for_its_deadline(clock: Clock) -> None:
    bank.fail("lost_request")
    name = corners.define("ledger.pay", body)
    with allowing(), worker():
        run = parked(corners.begin(name, safety="verifiable"), "tool:ledger.verifiable")
        clock.advance(minutes=1)
        assert ended(run).outcome.data == {"paid": 3}
    assert len(bank.requests) == 2 and len(bank.postings) == 1
