"""What ten thousand parked missions cost: rows, and nothing else.

They are real: a worker claims each, runs it to its wait and parks it. Only their start is done by copying rows. The
database's size is taken as it lies after a vacuum, with all indexes; memory and CPU are the worker's that parked them,
against the same worker before, warmed by some hundred missions of the same kind.
"""

from __future__ import annotations

import time

from benchmarks.bench import Bench
from benchmarks.processes import Worker, workers

NAME = "parked"
PARKED, WARM = 10_000, 500
IDLE_SECONDS, IDLE_ROUNDS = 20.0, 2
GOAL_BYTES, GOAL_RSS_MIB, GOAL_CPU = 2048.0, 5.0, 1.0
MIB = 1024 * 1024
SIZE = """
    select sum(pg_total_relation_size(oid))::bigint from pg_class where relkind = 'r' and relname like 'missions\\_%%'
"""


def run(bench: Bench) -> None:
    """Measure with none, park them, measure again."""
    results = bench.results
    with workers(bench.cluster, bench.folder) as (worker,):
        _park(bench, WARM)
        idle_before, rss_before, size_before = _idle(worker), worker.rss(), _size(bench)
        _park(bench, PARKED)
        size = (_size(bench) - size_before) / PARKED
        rss, idle_after = worker.rss(), _idle(worker)
    grown = (rss - rss_before) / MIB
    results.add(NAME, "database a parked mission", "bytes", [size], concurrency=PARKED)
    results.add(NAME, "worker memory before", "MiB", [rss_before / MIB], concurrency=WARM)
    results.add(NAME, "worker memory after", "MiB", [rss / MIB], concurrency=PARKED)
    results.add(NAME, "worker CPU, idle, before", "% of a core", idle_before, concurrency=WARM)
    cpu = results.add(NAME, "worker CPU, idle, after", "% of a core", idle_after, concurrency=PARKED)
    results.at_most(NAME, "bytes a parked mission", size, GOAL_BYTES, concurrency=PARKED)
    results.at_most(NAME, "MiB that the worker grew", grown, GOAL_RSS_MIB, concurrency=PARKED)
    results.at_most(NAME, "% of a core, worker idle", cpu, GOAL_CPU, concurrency=PARKED)


def _park(bench: Bench, count: int) -> None:
    missions = bench.closed("bench.wait", count, {})
    bench.open(missions)
    bench.parked(missions)


def _size(bench: Bench) -> int:
    bench.cluster.settle()
    size: int = bench.cluster.one(SIZE)
    return size


def _idle(worker: Worker) -> list[float]:
    """The worker's CPU time while nothing happens, in percent of a core; one value a round."""
    shares = []
    for _ in range(IDLE_ROUNDS):
        before, begun = worker.cpu(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        shares.append((worker.cpu() - before) / (time.monotonic() - begun) * 100)
    return shares
