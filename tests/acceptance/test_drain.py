"""SIGTERM: a worker comes to its next records, puts its missions back, and leaves with status 0."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.acceptance import refunds
from tests.acceptance.processes import Process, until
from tests.acceptance.system import DRAIN_SECONDS, System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
LEFTOVER_SECONDS = 3.0  # what a hanging thread may add
STEPS = 12
RECORDED = "select count(*) from missions_journal where mission_id = %s and kind = 'step'"


@pytest.fixture
def system(site: System) -> Iterator[System]:
    """The module's system; workers and payment server are each test's own. They end as the command itself does."""
    site.forks = False
    yield site
    site.close()


def plod(system: System, count: int, *, steps: int = STEPS, step_seconds: float = 0.3) -> list[str]:
    """Start missions of slow steps; their ids once each has recorded a step."""
    admin = system.person("admin")
    request = {"steps": steps, "step_seconds": step_seconds}
    uids = [admin.start("test.plod", request) for _ in range(count)]
    until("all are under way", 30, lambda: all(steps_of(system, uid) for uid in uids))
    return uids


def beside(system: System) -> Process:
    """A worker that is there at once, while the steps of the others go on."""
    system.forks = True
    try:
        return system.start_worker()
    finally:
        system.forks = False


def steps_of(system: System, uid: str) -> int:
    """How many steps a mission has recorded."""
    return int(system.database.value(RECORDED, system.mission_id(uid)))


@pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
def test_draining_worker_hands_its_missions_over(system: System, group: bool) -> None:
    leaving = system.start_worker()
    uids = plod(system, 4)
    staying = beside(system)
    began = time.monotonic()
    leaving.signal(signal.SIGTERM, group=group)
    assert leaving.wait(DRAIN_SECONDS) == 0, leaving.output
    assert time.monotonic() - began < DRAIN_SECONDS / 2  # steps take 0.3 s
    assert [refunds.ended(system, uid) for uid in uids] == ["plodded"] * 4
    assert [steps_of(system, uid) for uid in uids] == [STEPS] * 4
    assert [refunds.takeovers(system, uid) for uid in uids] == [0] * 4
    assert staying.running


def test_draining_worker_waits_for_the_answer_of_a_call(system: System) -> None:
    system.start_payments("manual", timeout=30.0)  # a call cut short would end before a person
    leaving = system.start_worker()
    uid = refunds.start(system, "ORD-1020")
    system.payments.set(slow=2.0)
    (decision,) = refunds.asked(system, "sam", uid)
    assert system.person("sam").vote(decision, {"verdict": "approve"})
    until("the refund is posted", 30, lambda: system.payments.refunds("ORD-1020"))
    leaving.signal(signal.SIGTERM)
    assert leaving.wait(DRAIN_SECONDS) == 0, leaving.output
    assert system.kinds(uid)[-2:] == ["outcome", "completed"]
    assert refunds.ended(system, uid) == "refunded"
    assert refunds.requests(system, uid) == [1]
    assert refunds.takeovers(system, uid) == 0


def test_step_longer_than_the_drain_is_left_to_another_worker(system: System) -> None:
    leaving = system.start_worker(MISSIONS_DRAIN_SECONDS="1")
    (uid,) = plod(system, 1, steps=2, step_seconds=3.0)
    staying = beside(system)
    began = time.monotonic()
    leaving.signal(signal.SIGTERM)
    assert leaving.wait(1 + LEFTOVER_SECONDS + 5) == 0, leaving.output
    assert time.monotonic() - began < 1 + LEFTOVER_SECONDS + 2
    assert refunds.ended(system, uid) == "plodded"
    assert refunds.takeovers(system, uid) == 0
    assert staying.running


def test_idle_worker_leaves_at_once(system: System) -> None:
    worker = system.start_worker()
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait(10) == 0, worker.output
    assert time.monotonic() - began < DRAIN_SECONDS / 2
    assert system.database.value("select count(*) from missions_worker where dead_at is null") == 0
