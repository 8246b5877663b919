"""Missions that take their workers down: they end alone, and the innocent ones beside them complete."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.acceptance import checks, harmful_missions
from tests.acceptance.processes import Process, until
from tests.acceptance.system import MODULE, System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]
ENOUGH = 60.0
LANE = """
select pg_terminate_backend(worker.backend_pid) from missions_mission as mission
join missions_worker as worker on worker.id = mission.owner where mission.id = %s
"""


@pytest.fixture
def system(system: System) -> Iterator[System]:
    """A system whose workers know harmful missions."""
    system.environment["MISSIONS_MODULES"] = f"{MODULE},{harmful_missions.MODULE}"
    yield system


def begin(system: System, what: str) -> list[int]:
    """Start missions; their ids."""
    return list(system.inside("harm", HARM=what))


def told(system: System, mission: int) -> dict[str, Any]:
    """A mission's row."""
    return dict(system.database.value("select to_jsonb(m) from missions_mission as m where id = %s", mission))


def lost(system: System, mission: int) -> list[bool]:
    """The takeovers of a mission: whether each was a strike."""
    query = "select strike from missions_takeover where mission_id = %s order by id"
    return [row[0] for row in system.database.rows(query, mission)]


def lived(system: System) -> int:
    """How many innocent missions completed."""
    query = "select count(*) from missions_mission where type = 'test.innocent' and state = 'completed'"
    return int(system.database.value(query))


def check_quarantined(system: System, mission: int, innocents: int) -> None:
    """It was paused with its third strike, nobody else was harmed, and all that was recorded is sound."""
    until("it is paused", ENOUGH, lambda: told(system, mission)["state"] == "paused")
    row = told(system, mission)
    assert (row["reason"], row["strikes"], row["wake_at"], row["owner"]) == ("quarantined", 3, None, None)
    assert lost(system, mission) == [True, True, True]
    until("the innocent complete", ENOUGH, lambda: lived(system) == innocents)
    assert checks.unsound(system.facts()) == []


def test_mission_that_kills_its_worker_ends_in_quarantine(system: System) -> None:
    missions = begin(system, "test.innocent*25 test.killer test.innocent*25")
    workers = [system.start_worker(ready=False) for _ in range(2)]
    died: list[Process] = []

    def replaced() -> bool:
        """As a supervisor does: whoever dies is started again."""
        for worker in [one for one in workers if not one.running]:
            workers.remove(worker)
            died.append(worker)
            workers.append(system.start_worker(ready=False))
        return told(system, missions[25])["state"] == "paused"

    until("the killer is paused", ENOUGH, replaced)
    check_quarantined(system, missions[25], 50)
    assert [worker.status for worker in died] == [-signal.SIGKILL] * 2
    assert sum(worker.output.count("quarantine_started") for worker in (*died, *workers)) >= 1


@pytest.mark.soak
def test_mission_that_blocks_its_worker_ends_in_quarantine(system: System) -> None:
    missions = begin(system, "test.innocent*10 test.blocker")
    workers = [system.start_worker(ready=False, MISSIONS_HUNG_SECONDS="1.2") for _ in range(3)]
    check_quarantined(system, missions[-1], 10)
    assert sorted(worker.running for worker in workers) == [False, False, True]
    said = "".join(worker.output for worker in workers)
    assert said.count("action=loop_stalled") == 3  # the quarantine process writes to its worker's log
    assert f"{os.path.basename(harmful_missions.__file__)}:" in said and " in block" in said


def test_mission_leaves_quarantine_with_its_first_entry(system: System) -> None:
    (mission,) = begin(system, "test.innocent")
    system.database.rows("update missions_mission set strikes = 2 where id = %s returning id", mission)
    system.start_worker()
    until("it completes", ENOUGH, lambda: lived(system) == 1)
    query = "select attempt from missions_journal where mission_id = %s and kind = 'step' order by seq"
    assert system.database.rows(query, mission) == [(1,), (2,), (2,), (2,), (2,)]
    assert told(system, mission)["strikes"] == 0


@pytest.mark.soak
def test_quarantine_process_ends_with_its_worker_even_if_it_is_blocked(system: System) -> None:
    (mission,) = begin(system, "test.dawdler")
    system.database.rows("update missions_mission set strikes = 2 where id = %s returning id", mission)
    worker = system.start_worker(MISSIONS_DRAIN_SECONDS="1")
    until("it runs in quarantine", ENOUGH, lambda: told(system, mission)["state"] == "running")
    (child,) = psutil.Process(worker.pid).children()
    assert "--quarantine" in child.cmdline()
    system.start_worker()
    child.suspend()
    worker.kill()
    child.resume()
    gone = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)  # not every init reaps
    until("it ends", 20, lambda: not child.is_running() or child.status() in gone)


@pytest.mark.soak
def test_lost_session_is_no_strike(system: System) -> None:
    (mission,) = begin(system, "test.dawdler")
    for number in range(2):
        system.start_worker(MISSIONS_HOST=f"host-{number}")
    for _ in range(4):
        attempt = until("it runs", ENOUGH, lambda: told(system, mission)["owner"] and told(system, mission)["attempt"])
        system.database.rows(LANE, mission)
        until("it goes on elsewhere", ENOUGH, lambda: told(system, mission)["attempt"] > attempt)  # noqa: B023
    until("strikes are taken back", ENOUGH, lambda: told(system, mission)["strikes"] == 0)
    assert told(system, mission)["state"] != "paused"


@pytest.mark.soak
def test_crash_of_the_server_is_no_strike(system: System) -> None:
    (mission,) = begin(system, "test.dawdler")
    worker = system.start_worker()
    until("it runs", ENOUGH, lambda: told(system, mission)["owner"])
    system.cluster.crash()
    worker.kill()
    system.cluster.start()
    system.start_worker()
    until("it is taken over", ENOUGH, lambda: lost(system, mission))
    assert lost(system, mission) == [False]
    assert told(system, mission)["strikes"] == 0


@pytest.mark.soak
def test_process_leaves_when_a_thread_of_a_fenced_worker_does_not_end(system: System) -> None:
    (mission,) = begin(system, "test.hanger")
    worker = system.start_worker(MISSIONS_DRAIN_SECONDS="0.5")
    until("it hangs", ENOUGH, lambda: told(system, mission)["owner"])
    worker_id = told(system, mission)["owner"]
    system.database.rows(LANE, mission)
    until("the worker fences itself", ENOUGH, lambda: told(system, mission)["owner"] not in (worker_id, None))
    assert worker.wait(60) == 1, worker.output
    assert worker.said("action=leftovers_overdue")
