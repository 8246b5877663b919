"""A long step whose worker is killed again and again goes on from its cursor: one interval a kill is repeated."""

from __future__ import annotations

from collections import Counter

import psutil
import pytest

from tests.acceptance import refunds
from tests.acceptance.processes import Process, until
from tests.acceptance.sample_missions import MIGRATED
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
ROWS, INTERVAL, KILLS = 1_000_000, 10_000, 20
END_SECONDS = 60.0
PROGRESS = "select cursor from missions_progress where mission_id = %s"
OWNER = "select pid from missions_worker as worker join missions_mission on owner = worker.id where uid = %s"


def cursor_of(system: System, uid: str) -> int:
    """Where the step would go on."""
    rows = system.database.rows(PROGRESS, system.mission_id(uid))
    return int(bytes(rows[0][0])) if rows else 0


def kill_owner(system: System, nursery: Process, uid: str) -> None:
    """SIGKILL the worker that runs the mission right now."""

    def owner() -> psutil.Process | None:
        pids = [row[0] for row in system.database.rows(OWNER, uid)]
        return next((child for child in psutil.Process(nursery.pid).children() if child.pid in pids), None)

    victim = until("a worker runs it", END_SECONDS, owner)
    victim.kill()
    victim.wait(10)


def intervals(system: System, uid: str) -> Counter[int]:
    """How often each interval was finished, by its first row, out of all workers' logs."""
    lines = [line for one in system.processes for line in one.output.splitlines() if f"{MIGRATED}: {uid}" in line]
    return Counter(int(line.rpartition(f"{uid} ")[2].split()[0]) for line in lines)


@pytest.mark.soak
def test_million_rows_under_twenty_kills_repeat_at_most_one_interval_a_kill(system: System) -> None:
    system.start_web()
    nursery = system.start_nursery()
    uid = system.person("admin").start("test.migrate", {"rows": ROWS, "interval": INTERVAL})
    for number in range(1, KILLS + 1):
        wanted = number * ROWS // (KILLS * 2)  # there are rows enough for one more
        until(f"row {wanted} is behind it", END_SECONDS, lambda wanted=wanted: cursor_of(system, uid) >= wanted)
        kill_owner(system, nursery, uid)
        until("it is taken over", END_SECONDS, lambda number=number: refunds.takeovers(system, uid) >= number)
    assert refunds.ended(system, uid) == "migrated"
    mission = system.person("admin").mission(uid)
    assert mission["verdict"]["data"] == {"rows": ROWS}, "each row once, whatever was repeated"
    finished = intervals(system, uid)
    assert set(finished) == set(range(0, ROWS, INTERVAL))
    assert sum(finished.values()) - len(finished) <= KILLS
    assert refunds.takeovers(system, uid) == KILLS
