"""A backup is restored after refunds were paid: the installation starts frozen, and nothing is paid twice.

Backups are real: the files of a stopped cluster, and a dump that goes back into the same cluster. The payment server
ignores keys, so a second call would be a second payment.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config import embedded
from tests.acceptance import checks, refunds
from tests.acceptance.processes import ROOT, Process, until
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]
REFERENCE = "select 'RF-' || printf('%06d', id) from payments where order_id = ?"
PAID, ASLEEP = 20, 1  # refunds approved between backup and restore; and not approved before it


def orders(count: int) -> list[str]:
    return [f"ORD-{1101 + number}" for number in range(count)]


def parked(system: System, count: int) -> dict[str, str]:
    """Refunds that wait for sam: order → mission."""
    request = {"amount": refunds.AMOUNT, "reason": "Arrived damaged"}
    admin = system.person("admin")
    uids = {order: admin.start("refund", {**request, "order_id": order}) for order in orders(count)}
    until("sam is asked", refunds.END_SECONDS, lambda: len(system.person("sam").waiting()) == count)
    return uids


def approve(system: System, uids: list[str]) -> None:
    """Let sam approve the refunds of these missions."""
    sam = system.person("sam")
    for decision in sam.waiting():
        if decision["mission"] in uids:
            assert sam.vote(decision, {"verdict": "approve"})


def posted(system: System) -> int:
    """How many refunds the ledger holds."""
    return int(system.payments.rows("select count(*) from payments where kind = 'refund'")[0][0])


def leave(worker: Process) -> None:
    """End a worker in order."""
    worker.signal(15)
    assert worker.wait(30) == 0


def copied(system: System, folder: Path) -> Callable[[], None]:
    """A copy of the stopped cluster's files; call the result to put it back."""
    data = system.cluster.root / "data"

    def copy(source: Path, target: Path) -> None:
        system.cluster.stop()
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)
        system.cluster.start()

    copy(data, folder / "backup")
    return lambda: copy(folder / "backup", data)


def dumped(system: System, folder: Path) -> Callable[[], None]:
    """A dump; call the result to restore it over the database."""
    dump = str(folder / "dump")
    binaries, place = embedded._binaries(), ["--dbname", system.database.url]
    subprocess.run([str(binaries / "pg_dump"), "--format=custom", f"--file={dump}", *place], check=True)

    def restore() -> None:
        subprocess.run([str(binaries / "pg_restore"), "--clean", "--if-exists", *place, dump], check=True)

    return restore


def frozen_worker(system: System) -> Process:
    """A worker that found out."""
    worker = system.start_worker()
    assert worker.said("action=frozen"), worker.output
    status, told = system.person("audrey").ask("GET", "freeze")
    assert (status, told["frozen"]) == (200, True), told
    return worker


def check_idle(system: System) -> None:
    """Decisions are taken, and nobody acts on them: two heartbeats and more go by."""
    beats = "select heartbeat_at from missions_worker where dead_at is null order by started_at desc limit 1"
    for _ in range(3):
        last = system.database.value(beats)
        until("a heartbeat", 20, lambda: system.database.value(beats) > last)  # noqa: B023
    due = system.database.value("select count(*) from missions_mission where wake_at <= now() and owner is null")
    assert due > 0
    assert system.database.value("select count(*) from missions_mission where owner is not null") == 0


def test_restored_files_start_frozen_and_pay_nothing_twice(system: System) -> None:
    system.start_payments("keyed", "--no-dedup", timeout=8.0)
    system.start_web()
    worker = system.start_worker()
    uids = parked(system, PAID + ASLEEP)
    paid = [uids[order] for order in orders(PAID)]
    leave(worker)
    restore = copied(system, system.folder)
    worker = system.start_worker()
    approve(system, paid)
    until("all are paid", refunds.END_SECONDS, lambda: posted(system) == PAID)
    leave(worker)
    restore()
    worker = frozen_worker(system)
    approve(system, list(uids.values()))
    check_idle(system)
    assert posted(system) == PAID
    body = {"reason": "The payment provider's statement was compared."}
    assert system.person("olivia").ask("POST", "freeze/thaw", body=body)[0] == 403
    assert system.person("admin").ask("POST", "freeze/thaw", body=body) == (200, {"suspect": PAID + ASLEEP})
    for order, uid in uids.items():
        assert refunds.ended(system, uid) == "refunded"
        assert system.payments.refunds(order) == [refunds.AMOUNT]
        assert refunds.requests(system, uid) == [1]
    assert posted(system) == PAID + ASLEEP
    for uid in paid:
        assert refunds.entries(system, uid, "outcome")[-1]["adopted"] is True
        assert refunds.entries(system, uid, "doubt")[0]["restored"] is True
        assert refunds.entries(system, uid, "retry") == []
    last = uids[orders(PAID + ASLEEP)[-1]]  # what had not happened is done, once that is sure
    assert [probed["found"] for probed in refunds.entries(system, last, "probed")][-1] is False
    assert len(refunds.entries(system, last, "retry")) == 1
    assert checks.unsound(system.facts()) == []
    leave(worker)
    again = system.start_worker()
    assert not again.said("action=frozen")


@pytest.mark.soak
def test_restored_dump_starts_frozen_and_asks_where_there_is_no_probe(system: System) -> None:
    system.start_payments("manual", "--no-dedup")
    system.start_web()
    worker = system.start_worker()
    uids = parked(system, 3)
    restore = dumped(system, system.folder)
    paid = [uids[order] for order in orders(2)]
    approve(system, paid)
    until("both are paid", refunds.END_SECONDS, lambda: posted(system) == 2)
    leave(worker)
    restore()
    frozen_worker(system)
    approve(system, list(uids.values()))
    thaw = [sys.executable, "manage.py", "mission", "thaw", "--reason", "Looked at the ledger."]
    subprocess.run(thaw, cwd=ROOT, env=system.environment, check=True)
    olivia = system.person("olivia")
    for order, uid in uids.items():
        (decision,) = until("olivia is asked", refunds.END_SECONDS, lambda: refunds.asked(system, "olivia", uid))  # noqa: B023
        found = system.payments.rows(REFERENCE, order)
        answer = {"choice": "happened", "reference": found[0][0]} if found else {"choice": "retry"}
        assert olivia.vote(decision, {"verdict": "approve", **answer})
        assert refunds.ended(system, uid) == "refunded"
        assert system.payments.refunds(order) == [refunds.AMOUNT]
        assert refunds.requests(system, uid) == [1]
    assert checks.unsound(system.facts()) == []


@pytest.mark.soak
def test_planned_move_goes_on_as_if_nothing_had_happened(system: System) -> None:
    system.start_payments("keyed", "--no-dedup")
    system.start_web()
    worker = system.start_worker()
    uids = parked(system, 1)
    restore = dumped(system, system.folder)
    leave(worker)
    restore()
    frozen_worker(system)
    body = {"reason": "Moved to another server.", "nothing_was_lost": True}
    assert system.person("admin").ask("POST", "freeze/thaw", body=body) == (200, {"suspect": 0})
    approve(system, list(uids.values()))
    (uid,) = uids.values()
    assert refunds.ended(system, uid) == "refunded"
    assert refunds.entries(system, uid, "doubt") == []
