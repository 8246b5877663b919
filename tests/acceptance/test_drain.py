"""SIGTERM: a worker comes to its next records, puts its missions back, and leaves with status 0."""

from __future__ import annotations

import signal
import time

import pytest

from tests.acceptance import checks, refunds
from tests.acceptance.processes import until
from tests.acceptance.system import DRAIN_SECONDS, System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
LEFTOVER_SECONDS = 3.0  # what a hanging thread may add
STEPS = 12
RECORDED = "select count(*) from missions_journal where mission_id = %s and kind = 'step'"


def plod(system: System, count: int, *, steps: int = STEPS, step_seconds: float = 0.3) -> list[str]:
    """Start missions of slow steps; their ids once each has recorded a step."""
    admin = system.person("admin")
    request = {"steps": steps, "step_seconds": step_seconds}
    uids = [admin.start("test.plod", request, key=f"plod-{number}") for number in range(count)]
    until("all are under way", 30, lambda: all(steps_of(system, uid) for uid in uids))
    return uids


def steps_of(system: System, uid: str) -> int:
    """How many steps a mission has recorded."""
    return int(system.database.value(RECORDED, system.mission_id(uid)))


@pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
def test_draining_worker_hands_its_missions_over(system: System, group: bool) -> None:
    system.start_web()
    leaving = system.start_worker()
    uids = plod(system, 4)
    staying = system.start_worker()
    began = time.monotonic()
    leaving.signal(signal.SIGTERM, group=group)
    assert leaving.wait(DRAIN_SECONDS) == 0, leaving.output
    assert time.monotonic() - began < DRAIN_SECONDS / 2  # steps take 0.3 s
    assert [refunds.ended(system, uid) for uid in uids] == ["plodded"] * 4
    facts = system.facts()
    assert facts["takeovers"] == []
    assert [steps_of(system, uid) for uid in uids] == [STEPS] * 4
    assert checks.unsound(facts) == []
    assert checks.still_waiting(facts, workers=1) == []
    assert staying.running


def test_draining_worker_waits_for_the_answer_of_a_call(system: System) -> None:
    system.start_payments("manual", timeout=30.0)  # a call cut short would end before a person
    system.start_web()
    leaving = system.start_worker()
    uid = refunds.start(system, "ORD-1020")
    system.payments.set(slow=2.0)
    (decision,) = refunds.asked(system, "sam", uid)
    assert system.person("sam").vote(decision, {"verdict": "approve"})
    until("the refund is posted", 30, lambda: system.payments.refunds("ORD-1020"))
    leaving.signal(signal.SIGTERM)
    assert leaving.wait(DRAIN_SECONDS) == 0, leaving.output
    assert system.kinds(uid)[-1] == "outcome"
    system.payments.set(slow=0)
    system.start_worker()
    assert refunds.ended(system, uid) == "refunded"
    assert refunds.requests(system, uid) == [1]
    facts = system.facts()
    assert facts["takeovers"] == []
    assert checks.unsound(facts) == []


def test_step_longer_than_the_drain_is_left_to_another_worker(system: System) -> None:
    system.start_web()
    leaving = system.start_worker(MISSIONS_DRAIN_SECONDS="1")
    (uid,) = plod(system, 1, steps=3, step_seconds=4.0)
    staying = system.start_worker()
    began = time.monotonic()
    leaving.signal(signal.SIGTERM)
    assert leaving.wait(1 + LEFTOVER_SECONDS + 5) == 0, leaving.output
    assert time.monotonic() - began < 1 + LEFTOVER_SECONDS + 2
    assert refunds.ended(system, uid) == "plodded"
    facts = system.facts()
    assert facts["takeovers"] == []
    assert checks.unsound(facts) == []
    assert staying.running


def test_idle_worker_leaves_at_once(system: System) -> None:
    worker = system.start_worker()
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait(10) == 0, worker.output
    assert time.monotonic() - began < 2
    assert system.facts()["live_workers"] == 0
