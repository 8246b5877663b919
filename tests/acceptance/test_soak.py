"""Many missions pay for minutes while workers are killed and stopped and the database crashes: each payment once.

A thousand missions of twenty payments under ten minutes of storm; the short form is a small one. The verifiable tool's
payment server ignores keys, so nothing but the engine keeps a payment from being made twice.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.acceptance import checks, paying_missions
from tests.acceptance.gale import HOSTS, WORKERS, Gale
from tests.acceptance.processes import until
from tests.acceptance.soak import SHORT, TOOLS, Ledgers, Size, Starting, full
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance]
UNFINISHED = "select count(*) from missions_mission where state not in ('completed', 'failed', 'cancelled', 'paused')"
ALIVE = "select count(*) from missions_worker where dead_at is null"
MOST_STRIKES = "select coalesce(max(strikes), 0) from missions_mission"
FACTS_SECONDS = 600.0  # of a hundred thousand entries, each read three times
SIZES = [
    pytest.param(SHORT, id="short", marks=pytest.mark.timeout(240)),
    pytest.param(full(), id="full", marks=[pytest.mark.soak, pytest.mark.timeout(full().seconds + 2400)]),
]


@pytest.fixture
def ledgers(system: System, size: Size) -> Iterator[Ledgers]:
    """Both payment servers."""
    ledgers = Ledgers.open(system, size.slow_seconds)
    yield ledgers
    ledgers.close()


@pytest.mark.parametrize("size", SIZES)
def test_no_payment_is_lost_or_repeated_in_a_storm(system: System, ledgers: Ledgers, size: Size) -> None:
    seed = int(os.environ.get("STANDFAST_CHAOS_SEED") or random.randrange(1_000_000))
    print(f"STANDFAST_CHAOS_SEED={seed}")
    system.environment["MISSIONS_HUNG_SECONDS"] = "2"
    system.allow(paying_missions.POLICY)
    system.start_web()
    gale = Gale(system, random.Random(seed), crash_seconds=size.crash_seconds)
    gale.gather()
    began = time.monotonic()
    with Starting(system.person("admin"), size) as starting:
        gale.blow(size.seconds)
    until("all missions end", size.settle_seconds, lambda: system.database.value(UNFINISHED) == 0)
    until("the dead are buried", 60, lambda: system.database.value(ALIVE) == len(HOSTS) * WORKERS)
    ended = time.monotonic()
    facts = system.facts(patience=FACTS_SECONDS)
    print(f"{_told(system, facts, gale)}, {ended - began:.0f} s")
    _check_endings(facts, starting, size)
    for safety in TOOLS:
        _check_ledger(facts, ledgers, size, safety)
    assert checks.unsound(facts) == []
    assert checks.still_waiting(facts, workers=len(HOSTS) * WORKERS) == []


def _told(system: System, facts: checks.Facts, gale: Gale) -> str:
    """What the storm did, and what the engine made of it."""
    kinds = Counter(entry["kind"] for entry in facts["entries"])
    found = Counter(entry["payload"]["found"] for entry in facts["entries"] if entry["kind"] == "probed")
    strikes = sum(row["strike"] for row in facts["takeovers"])
    quarantines = sum(herd.output.count("quarantine_started") for herd in gale.herds)
    return (
        f"{len(facts['missions'])} missions, {len(facts['entries'])} entries, {gale.kills} kills, {gale.stops} stops, "
        f"{gale.crashes} database crashes, {len(facts['takeovers'])} takeovers, {strikes} of them strikes, at most "
        f"{system.database.value(MOST_STRIKES)} left, {quarantines} quarantine processes, {kinds['doubt']} doubts, "
        f"{kinds['probed']} probes {dict(found)}, {kinds['retry']} retries, {kinds['asked']} decisions opened"
    )


def _check_endings(facts: checks.Facts, starting: Starting, size: Size) -> None:
    """Each completed with all its payments, and nobody was asked anything."""
    assert len(set(starting.uids)) == len(facts["missions"]) == size.missions
    for row in facts["missions"]:
        assert (row["state"], row["outcome__verdict"]) == ("completed", "paid"), checks.history_of(facts, row["uid"])
        assert len(set(row["outcome__data"]["references"])) == size.effects, checks.history_of(facts, row["uid"])
    assert [entry for entry in facts["entries"] if entry["kind"] in ("asked", "paused")] == []


def _check_ledger(facts: checks.Facts, ledgers: Ledgers, size: Size, safety: str) -> None:
    """Each payment is there once and no other is; nothing was asked for more often than declared."""
    assert ledgers.paid(safety) == size.due(safety)
    requests = ledgers.requests(safety)
    assert checks.repeated_requests(facts, requests, retries_count=safety == "keyed") == []
    tool = TOOLS[safety]
    done = {effect["key"] for effect in facts["effects"] if effect["tool"] == tool and effect["state"] == "done"}
    assert len(done) == size.due(safety).total()
    assert done <= {key for key, _ in requests}
