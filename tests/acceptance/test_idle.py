"""What Standfast costs while nothing happens: hardly a statement, and nothing at all for what is parked."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import psycopg
import pytest

from benchmarks.bench import copies
from benchmarks.statements import Statement, parse
from tests import forkserver
from tests.acceptance.processes import Process, until
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

HEARTBEATS = 20  # of two workers: twenty seconds
STATEMENTS_A_SECOND = 2.0
WARM, PARKED = 1_000, 10_000
PARKED_PATIENCE = 120.0
GROWTH_BYTES = 3 * 1024 * 1024  # 300 bytes a mission: less than a coroutine, a timer or a future would take
POOL_THREADS = 2  # pools start a thread when two of their jobs happen to meet, however many missions there are
CPU_SHARE = 0.01  # of a core; a look at each of ten thousand missions every few seconds costs more
BEATS = 5  # of one worker: ten seconds
DORMANT = "select count(*) from missions_mission where state = 'waiting' and owner is null and wake_at is null"
QUIET = "update missions_alarm set nominal_at = nominal_at + interval '1 day' where rung_at is null returning id"
NOT_NOW = "update django_q_schedule set next_run = now() + interval '1 day' returning id"


@pytest.fixture
def standing(system: System) -> System:
    """A system with the times that it has by default."""
    system.environment.update(MISSIONS_HEARTBEAT_SECONDS="2", MISSIONS_HUNG_SECONDS="8")
    system.environment["MISSIONS_MODULES"] = "benchmarks.programs"
    system.forks = False  # what is measured has imported what it needs, and no more
    return system


def log_of(system: System) -> Callable[[], list[Statement]]:
    """Have the server log every statement of this test's database; returns what reads those logged since."""
    system.cluster.run(f"alter database {system.database.name} set log_statement = 'all'")
    log = system.cluster.root / "log"

    def since(begin: int = log.stat().st_size) -> list[Statement]:
        with open(log, errors="replace") as file:
            file.seek(begin)
            return parse(file.read())

    return since


def start_housekeeping(system: System) -> Process:
    """Start `manage.py qcluster`; the system ends it."""
    command = [sys.executable, "manage.py", "qcluster"]
    process = Process("housekeeping", command, system.environment, system.folder / "housekeeping.log")
    system.processes.append(process)
    return process


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_idle_system_asks_at_most_two_statements_a_second_and_only_heartbeats_touch_missions(standing: System) -> None:
    """Two workers, the web server and housekeeping, between two of its scheduled jobs.

    The jobs themselves are put off, and so is the alarm that watches them: they ask some twenty statements each, once
    a minute, once in five and once in ten.
    """
    assert standing.database.rows(NOT_NOW) and standing.database.rows(QUIET)
    statements = log_of(standing)
    for _ in range(2):
        standing.start_worker()
    standing.start_web()
    start_housekeeping(standing)
    until("the web server answers", 60, lambda: answers(f"{standing.url}/healthz"))
    until("housekeeping polls", 60, lambda: sum("django_q_ormq" in one.text for one in statements()) >= 2)

    before, begun = len(statements()), time.monotonic()
    until("heartbeats", 60, lambda: sum(one.name == "heartbeat" for one in statements()[before:]) >= HEARTBEATS)
    seconds, found = time.monotonic() - begun, statements()[before:]

    assert {one.name for one in found if one.touches_missions} == {"heartbeat"}
    assert len(found) / seconds <= STATEMENTS_A_SECOND, Counter(one.name for one in found)


HEART = "select heartbeat_at from missions_worker where dead_at is null"


@dataclass
class Cost:
    """What a worker uses."""

    memory: int  # bytes
    threads: int
    files: int
    cpu: float  # of a core, over some heartbeats


def cost(system: System, worker: Process) -> Cost:
    """What it uses now, and over the next ten seconds."""
    process, settled = psutil.Process(worker.pid), system.database.value(HEART)
    until("what went before is over", 60, lambda: system.database.value(HEART) != settled)
    memory, threads, files = process.memory_info().rss, process.num_threads(), process.num_fds()
    times, begun, beats = process.cpu_times(), time.monotonic(), set()

    def beating() -> bool:
        beats.add(system.database.value(HEART))
        return len(beats) > BEATS

    until("the worker's heart beats", 60, beating)
    after = process.cpu_times()
    used = after.user + after.system - times.user - times.system
    return Cost(memory=memory, threads=threads, files=files, cpu=used / (time.monotonic() - begun))


def park(system: System, template: int, count: int) -> None:
    """Have the worker run that many more missions to where they wait; they are copies of one that was started."""
    already = system.database.value(DORMANT)
    with psycopg.connect(system.database.url, autocommit=True) as connection:
        now = connection.execute("select missions_now()").fetchall()[0][0]
        copies(connection, template, count, now)
        connection.execute("select pg_notify('standfast_due', '')")
    until("all are parked", PARKED_PATIENCE, lambda: system.database.value(DORMANT) == already + count)


def test_ten_thousand_parked_missions_cost_no_memory_no_thread_no_socket_and_no_time(standing: System) -> None:
    """One worker runs all of them to their wait; only their start is done by copying rows.

    It is measured against itself with a thousand parked, so that its allocator and its pools have grown already.
    """
    words = ["manage.py", "mission", "start", "bench.wait", "--input", '{"steps": 0}', "--json"]
    started = forkserver.run(words, standing.environment, seconds=60)
    assert started.returncode == 0, started.stderr
    template = standing.mission_id(json.loads(started.stdout)["id"])
    worker = standing.start_worker()
    until("the first is parked", 30, lambda: standing.database.value(DORMANT) == 1)

    park(standing, template, WARM)
    before = cost(standing, worker)
    park(standing, template, PARKED)
    after = cost(standing, worker)

    assert after.memory - before.memory < GROWTH_BYTES
    assert after.threads - before.threads <= POOL_THREADS
    assert after.files == before.files
    assert after.cpu - before.cpu < CPU_SHARE
