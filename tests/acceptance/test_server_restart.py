"""The database server dies while workers write: they wait, come back, and nothing is lost or frozen."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.acceptance import checks, harmful_missions
from tests.acceptance.processes import until
from tests.acceptance.system import MODULE, System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]
MISSIONS, CRASHES, ENOUGH = 50, 2, 60.0
STEPS = "select count(*) from missions_journal where kind = 'step'"
COUNT = "select count(*) from missions_mission where state = 'completed'"


def more_than(system: System, seen: int) -> int:
    """How many steps are on record, where they are more; else 0."""
    found = int(system.database.value(STEPS))
    return found if found > seen else 0


def test_server_that_dies_in_mid_flush_loses_nothing_and_freezes_nobody(system: System) -> None:
    system.environment["MISSIONS_MODULES"] = f"{MODULE},{harmful_missions.MODULE}"
    system.inside("harm", HARM=f"test.patient*{MISSIONS}")
    workers, seen = [system.start_worker() for _ in range(2)], 0
    for _ in range(CRASHES):
        seen = until("something is written", ENOUGH, lambda: more_than(system, seen))  # noqa: B023
        system.cluster.crash()
        system.cluster.start()
    assert system.database.value(COUNT) == 0  # it did die in the midst of them
    (system.folder / harmful_missions.LAST_BREATH).touch()
    until("all complete", ENOUGH, lambda: system.database.value(COUNT) == MISSIONS)
    facts = system.facts()
    assert checks.unsound(facts) == []
    steps = Counter(entry["mission_id"] for entry in facts["entries"] if entry["kind"] == "step")
    assert {row["id"]: row["outcome__data"]["breaths"] for row in facts["missions"]} == steps
    assert system.database.value("select count(*) from missions_freeze") == 0
    assert system.database.value("select max(strikes) from missions_mission") == 0
    assert all(worker.running for worker in workers)
