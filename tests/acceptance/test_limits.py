"""A limit holds while the workers that hold its permits are killed, and no permit dies with them."""

from __future__ import annotations

import pytest

from tests.acceptance import refunds
from tests.acceptance.processes import Process, until
from tests.acceptance.sample_missions import OPEN
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]
HELD = "select count(*) from missions_permit where granted_at is not null"
QUEUED = "select count(*) from missions_permit where granted_at is null"
HOLDER = """
    select pid from missions_worker
    where id = (select owner from missions_mission
                where id = (select mission_id from missions_permit where granted_at is not null))
"""


def held_by(system: System, workers: list[Process]) -> Process | None:
    """The worker that holds the permit; None where that one is dead, or nobody does."""
    pids = [pid for (pid,) in system.database.rows(HOLDER)]
    return next((worker for worker in workers if worker.pid in pids and worker.running), None)


def test_a_killed_workers_permit_goes_on_with_its_mission(system: System) -> None:
    system.start_web()
    admin = system.person("admin")
    admin.ask("POST", "/limits", body={"scope": "tool", "name": "sample.turnstile", "concurrency": 1})
    uids = [admin.start("test.pass", {}) for _ in range(4)]
    workers = [system.start_worker() for _ in range(3)]
    until("one stands in it and three wait", 20, lambda: system.database.value(QUEUED) == 3)
    assert system.database.value(HELD) == 1
    for _ in range(2):
        holder = until("somebody who lives holds it", 20, lambda: held_by(system, workers))
        holder.kill()
        assert system.database.value(HELD) <= 1
    (system.folder / OPEN).touch()
    for uid in uids:
        assert refunds.ended(system, uid) == "passed"
    assert system.database.value("select count(*) from missions_permit") == 0
