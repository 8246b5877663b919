"""A worker that is stopped between the last check and the call: it is taken over, and then it wakes up.

Every payment server here ignores keys where the tool is verifiable: a second call would be a second payment.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.acceptance import refunds
from tests.acceptance.processes import Process, until
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
ORDER = "ORD-1010"
HUNG_SECONDS = 2.0
EACH_SAFETY = pytest.mark.parametrize(("safety", "options"), [("keyed", ()), ("verifiable", ("--no-dedup",))])


@pytest.fixture
def system(site: System) -> Iterator[System]:
    """The module's system; workers and payment server are each test's own."""
    yield site
    site.close()


def stopped_before_its_call(system: System, **more: str) -> tuple[Process, str]:
    """A worker that stands still right before it would call, alone so far, and its mission."""
    system.environment["MISSIONS_HUNG_SECONDS"] = str(HUNG_SECONDS)
    worker = system.start_worker(crash_at="after_recheck:1:STOP", **more)
    uid = refunds.approved(system, ORDER)
    until("the worker stands still", refunds.END_SECONDS, worker.is_stopped)
    return worker, uid


def check_paid_once(system: System, uid: str) -> None:
    """One payment, one request in all; that nothing was recorded by whoever was taken over is checked in the end."""
    assert refunds.ended(system, uid) == "refunded"
    assert system.payments.refunds(ORDER) == [refunds.AMOUNT]
    assert sum(refunds.requests(system, uid)) == 1


@EACH_SAFETY
def test_stopped_worker_makes_no_call_after_its_takeover(
    system: System, safety: str, options: tuple[str, ...]
) -> None:
    system.start_payments(safety, *options)
    worker, uid = stopped_before_its_call(system, MISSIONS_HOST="elsewhere")
    peer = system.start_worker()
    until("the mission is taken over", refunds.END_SECONDS, lambda: refunds.takeovers(system, uid) == 1)
    worker.signal(signal.SIGCONT)  # while the peer is still finding out what became of the effect
    until("the worker fences itself", 20, lambda: worker.said("The worker fences itself"))
    check_paid_once(system, uid)
    assert refunds.takeovers(system, uid) == 1
    until("the worker is back under a new id", 20, lambda: worker.output.count("A worker is ready") == 2)
    assert worker.running and peer.running


def test_stopped_worker_makes_no_call_after_its_mission_has_ended(system: System) -> None:
    system.start_payments("keyed")
    worker, uid = stopped_before_its_call(system, MISSIONS_HOST="elsewhere")
    system.start_worker()
    assert refunds.ended(system, uid) == "refunded"
    worker.signal(signal.SIGCONT)
    until("the worker is back under a new id", 30, lambda: worker.output.count("A worker is ready") == 2)
    check_paid_once(system, uid)


def test_stopped_worker_is_killed_by_a_peer_on_its_host(system: System) -> None:
    system.start_payments("verifiable", "--no-dedup")
    worker, uid = stopped_before_its_call(system)
    peer = system.start_worker()
    assert worker.wait(HUNG_SECONDS + refunds.END_SECONDS) == -signal.SIGKILL
    assert not worker.signalled
    check_paid_once(system, uid)
    assert peer.running and peer.output.count("A worker is ready") == 1  # ended nobody else, nor itself
    assert refunds.takeovers(system, uid) == 1


def test_worker_that_was_stopped_for_a_moment_goes_on_with_its_call(system: System) -> None:
    system.start_payments("verifiable", "--no-dedup", timeout=30.0)
    worker, uid = stopped_before_its_call(system)
    worker.signal(signal.SIGCONT)
    check_paid_once(system, uid)
    assert refunds.takeovers(system, uid) == 0
    assert refunds.entries(system, uid, "doubt") == []
