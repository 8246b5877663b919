"""A new release comes while a hundred missions are in flight: workers of both releases, and a migration in between.

Old workers are drained one by one, some of both releases are killed. Nothing is lost, repeated or diverges, and each
mission ends under the version that its type asks for.
"""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.acceptance import checks, paying_missions
from tests.acceptance.people import Json, Person
from tests.acceptance.processes import Process, until
from tests.acceptance.rollout import first, second
from tests.acceptance.system import DRAIN_SECONDS, System, manage

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
OLD, NEW, ROUNDS = 100, 20, 6  # missions started before and after the new release, half of either type
REST_SECONDS, SLOW_SECONDS, SLOWER_SECONDS = 1.5, 0.2, 3.0
END_SECONDS = 90.0
SECOND = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.rollout.settings", "MISSIONS_MODULES": second.MODULE}
TYPES = ("test.carried", "test.pinned")
PAID = "select count(distinct mission_id) from missions_effect where state = 'done'"
ALIVE = "select count(*) from missions_worker where dead_at is null"
AT_THE_END = "select count(*) from missions_mission where waits_for = 'signal:go' and type = any (%s)"
ENDED = "select count(*) from missions_mission where state = 'completed' and type = any (%s)"
IN_FLIGHT = "select count(*) from missions_mission where waits_for <> 'signal:go' and state <> 'completed'"
OWNED = """
select count(*) from missions_mission join missions_worker as worker on worker.id = owner
where worker.pid = %s and worker.dead_at is null
"""
COURIERS = "select count(*) from missions_mission where courier = 'post'"


def start(person: Person, numbers: range) -> dict[str, str]:
    """Start missions of both types in turn, each on an order of its own; their types by id."""
    requests = {number: {"order_id": f"ORD-{1001 + number}", "rounds": ROUNDS, "rest_seconds": REST_SECONDS}
                for number in numbers}
    return {person.start(TYPES[number % 2], request): TYPES[number % 2] for number, request in requests.items()}


def go(person: Person, *missions: str) -> None:
    """Let missions end."""
    for uid in missions:
        person.signal(uid, "go", {}, key="go")


def drain(worker: Process) -> None:
    """SIGTERM, and it leaves in order."""
    worker.signal(signal.SIGTERM)
    assert worker.wait(DRAIN_SECONDS + 10) == 0, worker.output


def roll_out(system: System) -> dict[str, str]:
    """Replace the first release by the second; the missions that are started then, when one old worker is left."""
    old = [process for process in system.processes if process.name.startswith("worker")]
    (web,) = [process for process in system.processes if process.name.startswith("web")]
    manage({**system.environment, **SECOND}, "migrate", "-v", "0", "--no-input")
    assert system.database.value(COURIERS) == OLD
    new = [system.start_worker(**SECOND) for _ in range(2)]
    web.signal(signal.SIGTERM)
    web.wait(20)
    system.start_web(**SECOND)
    system.payments.set(slow=SLOWER_SECONDS)  # whoever dies now dies with calls under way
    fresh = start(system.person("admin"), range(OLD, OLD + NEW))
    until("a new worker has some", END_SECONDS, lambda: system.database.value(OWNED, new[0].pid))
    new[0].kill()
    old[0].kill()
    system.payments.set(slow=SLOW_SECONDS)
    system.start_worker(**SECOND)
    drain(old[1])
    assert system.database.value(IN_FLIGHT) > 0, "a rollout with nothing in flight shows nothing"
    return fresh


def test_missions_in_flight_survive_a_rolling_deploy(system: System) -> None:
    system.start_payments("verifiable", "--no-dedup", "--slow", str(SLOW_SECONDS), timeout=8.0)
    system.environment["MISSIONS_MODULES"] = first.MODULE
    system.allow(paying_missions.POLICY)
    system.start_web()
    admin = system.person("admin")
    workers = [system.start_worker() for _ in range(3)]
    before = start(admin, range(OLD))
    until("each has paid once", END_SECONDS, lambda: system.database.value(PAID) == OLD)
    fresh = roll_out(system)
    go(admin, *(uid for uid, type in (before | fresh).items() if type == "test.pinned"))
    until("the pinned end", END_SECONDS, lambda: system.database.value(ENDED, ["test.pinned"]) == (OLD + NEW) // 2)
    drain(workers[2])
    go(admin, *(uid for uid, type in (before | fresh).items() if type == "test.carried"))
    until("all end", END_SECONDS, lambda: system.database.value(ENDED, list(TYPES)) == OLD + NEW)
    until("the dead are buried", 30, lambda: system.database.value(ALIVE) == 2)
    facts = system.facts()
    for row in facts["missions"]:
        expected = "pinned" if row["type"] == "test.pinned" else "carried"
        _check_versions(facts, row, expected if row["uid"] in before else "fresh")
    assert len(facts["takeovers"]) > 0
    assert [entry for entry in facts["entries"] if entry["kind"] in ("asked", "paused", "control")] == []
    _check_ledger(system, facts)
    assert checks.unsound(facts) == []
    assert checks.still_waiting(facts, workers=2) == []


def _check_versions(facts: checks.Facts, row: Json, how: str) -> None:
    """Under which release it ended, which marks it left, and whether its journal tells of the change."""
    upgrades = [entry["payload"] for entry in facts["entries"]
                if entry["mission_id"] == row["id"] and entry["kind"] == "upgraded"]
    told = row["outcome__data"]
    left = {"pinned": (1, []), "carried": (2, ["left"]), "fresh": (2, told["marks"])}[how]
    assert (told["release"], told["marks"]) == left, checks.history_of(facts, row["uid"])
    assert "greeted" in told["marks"] or how != "fresh"
    assert upgrades == ([{"from": 1, "to": 2}] if how == "carried" else []), checks.history_of(facts, row["uid"])
    assert row["version"] == left[0]
    assert len(set(told["references"])) == ROUNDS


def _check_ledger(system: System, facts: checks.Facts) -> None:
    paid = Counter(system.payments.rows("select order_id, amount from payments"))
    expected = {(f"ORD-{1001 + number}", f"0.{cents:02}") for number in range(OLD + NEW)
                for cents in range(1, ROUNDS + 1)}
    assert paid == Counter(expected)
    requests = system.payments.rows("select key, count(*) from requests where tool = 'payments.refund' group by key")
    assert checks.repeated_requests(facts, requests, retries_count=False) == []
