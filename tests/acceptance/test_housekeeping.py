"""Real housekeeping beside a real worker: figures and archive happen by themselves, and its death is noticed."""

from __future__ import annotations

import sys

import pytest

from tests import forkserver
from tests.acceptance.processes import Process, until
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]
LATER = "update missions_clock set shift = shift + %s::interval returning shift"


def housekeeping(system: System) -> Process:
    """Start `manage.py qcluster`; the system ends it."""
    command = [sys.executable, "manage.py", "qcluster"]
    process = Process("housekeeping", command, system.environment, system.folder / "housekeeping.log")
    system.processes.append(process)
    return process


def checked(system: System, name: str) -> str:
    """What a watch found last; empty before its first look."""
    found = system.database.rows("select detail from observability_check where name = %s", name)
    return str(found[0][0]) if found else ""


def command(system: System, *words: str) -> str:
    """What `manage.py mission` says."""
    done = forkserver.run(["manage.py", "mission", *words], system.environment, seconds=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.soak
def test_ended_missions_are_rolled_up_and_archived_and_dead_housekeeping_is_noticed(system: System) -> None:
    system.environment["MISSIONS_KEEP_DAYS"] = "1"
    system.start_worker()
    command(system, "start", "test.plod", "--input", '{"steps": 2, "step_seconds": 0.01}', "--wait")
    system.database.rows(LATER, "3 days")
    running = housekeeping(system)
    archived = "1 missions were archived."
    until("the day is rolled up and the mission archived", 90, lambda: checked(system, "archive") == archived)
    assert system.database.value("select count(*) from missions_mission") == 0
    assert system.database.value("select completed from observability_daily") == 1
    assert "archived, seal good" in command(system, "archived", "verify", "--all")

    until("housekeeping gives its stamp", 60, lambda: checked(system, "worker-heartbeat"))
    running.end()  # with its group: what it forked would still give its stamp
    system.database.rows(LATER, "20 minutes")
    worker = system.start_worker()  # the timer of one that runs goes by its own clock, which nobody moved
    until("the worker notices", 30, lambda: worker.said("action=housekeeping_late"))
    assert "has not run for" in checked(system, "housekeeping")
