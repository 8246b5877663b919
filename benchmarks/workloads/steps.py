"""Durable steps a second at 1, 16 and 256 missions, beside single-row commits by pgbench.

Each round measures both, one right after the other and in turns first, so that whatever else the machine does meets
both: the ratio of a round is the figure, its absolute values depend on the disk. A step's clock runs from the moment
at which the missions are due until the last of them has ended: claims and ends are in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import pgbench
from benchmarks.bench import Bench
from benchmarks.processes import Worker, workers

NAME = "steps"
ROUNDS = 9
SLICE_SECONDS = 1.5  # how long one measurement is to last, about
SHORTEST = 100  # steps of a mission: its claim and its end are in the figure, and are not to rule it
PAIRS = ((1, 1), (16, 16), (256, 64))  # missions, and pgbench's clients beside them
GOALS = {1: 0.45, 16: 1.2, 256: 2.5}
SPAN = "select extract(epoch from max(ended_at) - %s)::float from missions_outcome where mission_id = any (%s)"
ROW_BYTES = "select avg(pg_column_size(entry.*))::int from missions_journal as entry where kind = 'step'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One measurement of ours."""

    rate: float  # steps a second
    cpu: float  # microseconds of the worker's CPU time a step


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Ours and the peer's, one right after the other."""

    ours: Slice
    theirs: float | None  # commits a second


def run(bench: Bench) -> None:
    """Measure each concurrency in rounds of both systems."""
    with workers(bench.cluster, bench.folder) as (worker,):
        lengths = {count: _warm(bench, worker, count) for count, _ in PAIRS}
        peer = pgbench.Inserts(bench, bench.cluster.one(ROW_BYTES)) if "pgbench" in bench.peers else None
        for count, clients in PAIRS:
            turns = itertools.cycle((True, False))

            def one(count: int = count, clients: int = clients, turns: Iterator[bool] = turns) -> Round:
                theirs = peer.rate(clients) if peer is not None and (first := next(turns)) else None
                ours = measure(bench, worker, count, lengths[count])
                return Round(ours=ours, theirs=peer.rate(clients) if peer is not None and not first else theirs)

            _tell(bench, count, clients, bench.calm.collect(one, ROUNDS))


def _warm(bench: Bench, worker: Worker, count: int) -> int:
    """A first slice, not counted, that also says how many steps a mission must have to fill a slice."""
    first = measure(bench, worker, count, max(20, 400 // count))
    return max(SHORTEST, min(5000, round(first.rate * SLICE_SECONDS / count)))


def measure(bench: Bench, worker: Worker, count: int, length: int) -> Slice:
    """Run `count` missions of `length` steps side by side."""
    missions = bench.closed("bench.steps", count, {"steps": length})
    due = bench.open(missions)
    before = worker.cpu()
    bench.ended(missions)
    cpu, done = worker.cpu() - before, count * length
    return Slice(rate=done / bench.cluster.one(SPAN, due, missions), cpu=cpu / done * 1_000_000)


def _tell(bench: Bench, count: int, clients: int, rounds: list[Round]) -> None:
    results = bench.results
    results.add(NAME, "steps", "1/s", [one.ours.rate for one in rounds], concurrency=count)
    results.add(NAME, "worker CPU a step", "us", [one.ours.cpu for one in rounds], concurrency=count)
    theirs = [one.theirs for one in rounds if one.theirs is not None]
    if not theirs:
        return
    results.add(NAME, "single-row commits", "1/s", theirs, concurrency=clients, system="pgbench")
    each = [one.ours.rate / one.theirs for one in rounds if one.theirs is not None]
    value = results.add(NAME, f"steps to pgbench at {clients}", "ratio", each, concurrency=count)
    results.at_least(NAME, "pgbench", value, GOALS[count], concurrency=count)
