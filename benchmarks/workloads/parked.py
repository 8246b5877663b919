"""What twenty thousand parked missions cost: rows, and nothing else.

They are real: a worker claims each, runs it through one step to its wait, and parks it. Only their start is done by
copying rows. Database sizes are what the parking added, with all indexes and with what is left behind for vacuum; the
tables are compacted before, so that nothing hides in free space. The journal, which holds what a mission did, is told
apart from what its being parked costs beside it. Memory is that of the worker which parked them, against what it had,
warmed by some hundred missions of the same kind. Idle CPU is measured for all systems at once, while all are parked.

Peers park as many as their starts allow in some seconds; their figures are for each of these.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.bench import Bench
from benchmarks.peers.process import Peer, peers
from benchmarks.processes import Process, workers
from benchmarks.results import OURS

NAME = "parked"
PARKED, WARM = 20_000, 500
PEER_PARKED = {"dbos": 500, "langgraph": 1000, "absurd": 2000}
PEER_WARM = 20
PEER_ROOM = 64  # of Absurd's worker
IDLE_SECONDS, IDLE_ROUNDS = 10.0, 2
GOAL_BYTES, GOAL_RSS_MIB, GOAL_CPU = 1024.0, 5.0, 1.0
MIB = 1024 * 1024
JOURNAL = ("missions_journal", "missions_payload")
SIZES = "select relname, pg_total_relation_size(oid) from pg_class where relkind = 'r' and relname like 'missions\\_%%'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What parking so many added."""

    parked: int
    bytes: float  # each
    beside: float | None  # each, without the journal; None where that can not be told apart
    before: float  # MiB of the process
    after: float


def run(bench: Bench) -> None:
    """Measure with none, park them, measure again; one system after the other, then all of them idle."""
    costs: dict[str, Cost] = {}
    with workers(bench.cluster, bench.folder) as (worker,), peers(bench) as theirs:
        processes: dict[str, Process] = {OURS: worker}
        _park(bench, WARM)
        costs[OURS] = _cost(worker, PARKED, lambda: _park(bench, PARKED), partial(_sizes, bench))
        for name, peer in theirs.items():
            with bench.surviving(name):
                costs[name] = _theirs(peer)
                processes[name] = peer.host
        idle = _idle({name: process for name, process in processes.items() if name in costs})
    for name, cost in costs.items():
        _tell(bench, name, cost, idle[name])
    _judge(bench, costs[OURS], max(idle[OURS]))


def _park(bench: Bench, count: int) -> None:
    missions = bench.closed("bench.wait", count, {"steps": 1})
    bench.open(missions)
    bench.parked(missions)


def _sizes(bench: Bench, vacuum: str) -> tuple[int, int]:
    """Bytes of all tables of missions, and those of the journal."""
    bench.cluster.do(vacuum)
    tables = dict(bench.cluster.all(SIZES))
    return sum(tables.values()), sum(tables[name] for name in JOURNAL)


def _theirs(peer: Peer) -> Cost:
    count = PEER_PARKED[peer.kind.name]
    peer.serve(PEER_ROOM)
    peer.park(PEER_WARM)
    return _cost(peer.host, count, lambda: peer.park(count), peer.sizes, told_apart=peer.kind.journal != ())


def _cost(
    process: Process, count: int, park: Callable[[], object], sizes: Callable[[str], tuple[int, int]], *,
    told_apart: bool = True,
) -> Cost:
    """Compact, park so many, and see what that added."""
    (all_before, journal_before), before = sizes("vacuum full analyze"), process.rss()
    park()
    all_after, journal_after = sizes("vacuum analyze")
    whole, journal = (all_after - all_before) / count, (journal_after - journal_before) / count
    return Cost(
        parked=count, bytes=whole, beside=whole - journal if told_apart else None, before=before / MIB,
        after=process.rss() / MIB,
    )  # fmt: skip


def _idle(processes: dict[str, Process]) -> dict[str, list[float]]:
    """Each process's CPU time while nothing happens, in percent of a core; one value a round."""
    shares: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(IDLE_ROUNDS):
        before, begun = {name: process.cpu() for name, process in processes.items()}, time.monotonic()
        time.sleep(IDLE_SECONDS)
        for name, process in processes.items():
            shares[name].append((process.cpu() - before[name]) / (time.monotonic() - begun) * 100)
    return shares


def _tell(bench: Bench, name: str, cost: Cost, idle: list[float]) -> None:
    figures = [
        ("database a parked mission", "bytes", [cost.bytes]),
        ("process memory before", "MiB", [cost.before]),
        ("process memory after", "MiB", [cost.after]),
        ("process CPU, idle", "% of a core", idle),
    ]
    if cost.beside is not None:
        figures.insert(1, ("database a parked mission beyond its journal", "bytes", [cost.beside]))
    for metric, unit, values in figures:
        bench.results.add(NAME, metric, unit, values, concurrency=cost.parked, system=name)


def _judge(bench: Bench, ours: Cost, cpu: float) -> None:
    limits = [
        ("bytes a parked mission beyond its journal", ours.beside or 0.0, GOAL_BYTES),
        ("MiB that the worker grew", ours.after - ours.before, GOAL_RSS_MIB),
        ("% of a core, worker idle", cpu, GOAL_CPU),
    ]
    for limit, value, goal in limits:
        bench.results.at_most(NAME, limit, value, goal, concurrency=PARKED)
