"""What the whole system asks of the database while nothing happens.

Everything runs that `manage.py up` starts, but for the demo payment server, and nobody is signed in. Once every
scheduled job has run for the first time, the server's log is counted for whole minutes, so that each counts the jobs of
a minute.
"""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.cluster import wait_for
from benchmarks.place import PROJECT
from benchmarks.processes import Process
from benchmarks.statements import Statement, logged
from config.processes import Plan

NAME = "idle"
WORKERS = 2
ROUND_SECONDS, ROUNDS = 60.0, 1
SETTLED = "select count(*) >= (select count(*) from django_q_schedule) from django_q_task"
GOAL = 2.0
HEARTBEAT = "heartbeat"


def run(bench: Bench) -> None:
    """Start everything, let it settle, count."""
    with system(bench):
        bench.cluster.until(SETTLED)
        rounds = [count(bench, ROUND_SECONDS) for _ in range(ROUNDS)]
    _tell(bench, rounds)


def _tell(bench: Bench, rounds: list[list[Statement]]) -> None:
    results, seconds = bench.results, len(rounds) * ROUND_SECONDS
    rates = [len(statements) / ROUND_SECONDS for statements in rounds]
    median = results.add(NAME, "statements of the whole idle system", "1/s", rates)
    every = [statement for statements in rounds for statement in statements]
    by_sender = Counter((one.application.rpartition(" ")[0] or one.application, one.name) for one in every)
    for (sender, name), times in by_sender.most_common():
        results.console.print(f"    {times / seconds:6.3f}/s  {sender or 'web, housekeeping'}: {name}", highlight=False)
    touching = Counter(one.name for one in every if one.touches_missions and one.name != HEARTBEAT)
    for name, times in touching.items():
        results.add(NAME, f"touches mission tables: {name}", "1/s", [times / seconds])
    results.at_most(NAME, "statements a second, whole system", median, GOAL)
    results.at_most(NAME, "statements on mission tables but heartbeats", float(sum(touching.values())), 0.0)


def count(bench: Bench, seconds: float) -> list[Statement]:
    """The statements of so many seconds."""
    with logged(bench.cluster.configure, bench.cluster.log) as since:
        time.sleep(seconds)
        return since()


@contextlib.contextmanager
def system(bench: Bench) -> Iterator[list[Process]]:
    """The programs of `manage.py up` without demo data, ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plan = Plan(
        manage=PROJECT / "manage.py", data=bench.folder, host="127.0.0.1", port=port, workers=WORKERS, drain=5,
        payments_port=None,
    )  # fmt: skip
    started = [Process(program.name, program.command, bench.folder) for program in plan.programs()]
    try:
        living = "select count(*) from missions_worker where dead_at is null and pid = any (%s)"
        bench.cluster.until(living, [process.pid for process in started], is_=WORKERS)
        wait_for(lambda: _answers(f"http://127.0.0.1:{port}/healthz"), what="the web server answers")
        yield started
    finally:
        for process in started:
            process.stop()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
