"""A worker is killed between the end of a child and the wake of its parent, and between a spawn and its entry."""

from __future__ import annotations

import signal

import pytest

from missions.engine import crashpoints
from tests.acceptance import checks, refunds
from tests.acceptance.processes import until
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(200)]
CHILDREN = "select count(*) from missions_mission where parent is not null"


@pytest.mark.parametrize("point", crashpoints.OF_CHILDREN)
def test_killed_worker_neither_forgets_a_parent_nor_starts_a_child_twice(system: System, point: str) -> None:
    system.start_web()
    doomed = system.start_worker(crash_at=point)
    uid = system.person("admin").start("test.brood", {"children": 5})
    until("the worker is killed", 30, lambda: not doomed.running)
    assert doomed.status == -signal.SIGKILL and doomed.said(f"crash point {point}"), doomed.output
    system.start_worker()
    assert refunds.ended(system, uid) == "grown up"
    assert system.person("admin").mission(uid)["verdict"]["data"] == {"numbers": [0, 1, 2, 3, 4]}
    assert system.database.value(CHILDREN) == 5
    facts = system.facts()
    assert len(facts["takeovers"]) > 0
    assert checks.unsound(facts) == []
