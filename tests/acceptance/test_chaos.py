"""The system keeps its promises while everything that can be killed is killed.

Sixty or more refunds, some for one reviewer, some for two, some rejected. A worker dies at every named crash point,
others at random times, the web server between a vote and the wake that follows from it, and the database twice.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter

import pytest

from missions.engine import crashpoints
from tests.acceptance import checks
from tests.acceptance.people import Reviewer
from tests.acceptance.processes import until
from tests.acceptance.storm import CRASHES, KILLS, MISSIONS, REASON, Customers, Refund, Storm
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

SLOW_SECONDS = 0.3  # of each answer, so that many deaths come in the middle of a call
TIMEOUT_SECONDS = 8.0  # of a refund: long enough to be met on a busy machine, since a missed deadline ends a mission
SETTLE_SECONDS = 120.0
UNFINISHED = "select count(*) from missions_mission where state not in ('completed', 'failed', 'cancelled', 'paused')"
ALIVE = "select count(*) from missions_worker where dead_at is null"


@pytest.mark.parametrize(
    ("safety", "options"),
    [pytest.param("keyed", (), marks=pytest.mark.soak), ("verifiable", ("--no-dedup",))],
)
def test_each_refund_happens_once_whatever_dies(system: System, safety: str, options: tuple[str, ...]) -> None:
    seed = int(os.environ.get("STANDFAST_CHAOS_SEED") or random.randrange(1_000_000))
    print(f"STANDFAST_CHAOS_SEED={seed}")
    began = time.monotonic()
    system.start_payments(safety, *options, "--slow", str(SLOW_SECONDS), timeout=TIMEOUT_SECONDS)
    customers = Customers(system.person("admin"))
    storm = Storm(system, customers, random.Random(seed), web=system.start_web())
    with Reviewer(system.person("sam"), customers.opinion), Reviewer(system.person("fiona"), customers.opinion):
        try:
            storm.rage()
        finally:
            customers.leave()
        storm.calm()
        until("all missions end", SETTLE_SECONDS, lambda: system.database.value(UNFINISHED) == 0)
    until("the dead are buried", 30, lambda: system.database.value(ALIVE) == 3)
    facts = system.facts()
    print(f"{len(customers.refunds)} refunds, {storm.random_kills} random kills, {storm.cuts} cut sessions, "
          f"{storm.crashes} database crashes, {len(facts['takeovers'])} takeovers, {time.monotonic() - began:.0f} s")
    _check_deaths(storm)
    _check_endings(facts, customers)
    _check_ledger(system, facts, customers, safety)
    assert checks.unsound(facts) == []
    assert checks.still_waiting(facts, workers=3) == []


def _check_deaths(storm: Storm) -> None:
    """Every named point was reached, by a process that died right there."""
    assert {point: process.status for point, process in storm.deaths.items()} == dict.fromkeys(
        crashpoints.NAMES, -signal.SIGKILL
    )
    assert storm.crashes == CRASHES
    assert storm.random_kills >= KILLS


def _check_endings(facts: checks.Facts, customers: Customers) -> None:
    assert len(facts["missions"]) == len(customers.refunds) >= MISSIONS
    missions = {row["uid"]: row for row in facts["missions"]}
    for refund in customers.refunds:
        mission = missions[customers.uids[refund.order]]
        told = checks.history_of(facts, mission["uid"])
        assert (mission["state"], mission["outcome__verdict"]) == ("completed", refund.verdict), told
        if refund.verdict == "rejected":
            assert mission["outcome__summary"] == REASON, told
        else:
            assert mission["outcome__data"]["receipt"]["amount"] == refund.amount, told
    votes = Counter((vote["decision_id"], vote["voter__username"]) for vote in facts["votes"])
    assert set(votes.values()) == {1}


def _check_ledger(system: System, facts: checks.Facts, customers: Customers, safety: str) -> None:
    """Each approved refund was paid once, no rejected one was, and nothing was asked for more often than declared."""
    paid = Counter(system.payments.rows("select order_id, amount from payments where kind = 'refund'"))
    assert paid == {(item.order, item.amount): 1 for item in customers.refunds if _is_paid(item)}
    requests = system.payments.rows("select key, count(*) from requests where tool = 'payments.refund' group by key")
    assert checks.repeated_requests(facts, requests, retries_count=safety == "keyed") == []
    done = {effect["key"] for effect in facts["effects"] if effect["state"] == "done"}
    assert len(done) == len(paid)
    if safety == "verifiable":
        assert {key: count for key, count in requests if key in done} == dict.fromkeys(done, 1)
        assert {key for key, _ in requests} == done  # what was found not to have happened was never asked for


def _is_paid(refund: Refund) -> bool:
    return refund.verdict == "refunded"
