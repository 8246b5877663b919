"""Durable steps a second at 1, 16 and 256 missions, beside the peers and beside single-row commits by pgbench.

Each round measures every system once, one right after the other, and begins with another one each time: whatever else
the machine does meets all of them, and the ratio of a round is the figure. Every step returns the same 200 bytes.

Ours runs from the moment at which the missions are due until the last of them has ended: claims and ends are in it.
A peer's clock runs from the first step to the last one: starts and ends are not, which is to its advantage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks import pgbench
from benchmarks.bench import Bench
from benchmarks.peers.process import Peer, peers
from benchmarks.processes import Worker, workers
from benchmarks.results import OURS

NAME = "steps"
ROUNDS = 5
SLICE_SECONDS = 1.5  # how long one measurement is to last, about
SHORTEST = 100  # steps of a mission: its claim and its end are in the figure, and are not to rule it
CLIENTS = {1: 1, 16: 16, 256: 64}  # pgbench's clients beside so many missions
PEER_STEPS = {1: 300, 16: 25, 256: 4}  # steps of one of a peer's missions: it does some hundred a second
GOALS = {
    ("pgbench", 1): 0.45, ("pgbench", 16): 1.2, ("pgbench", 256): 2.0,
    ("dbos", 1): 6.0, ("dbos", 16): 40.0, ("dbos", 256): 80.0,
}  # fmt: skip
GOAL = 1.0  # against any other: not behind
GOAL_CPU = 1 / 60  # of what a step of DBOS costs its process
SPAN = "select extract(epoch from max(ended_at) - %s)::float from missions_outcome where mission_id = any (%s)"
ROW_BYTES = "select avg(pg_column_size(entry.*))::int from missions_journal as entry where kind = 'step'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One measurement of one system."""

    rate: float  # steps, or commits, a second
    cpu: float | None = None  # microseconds of CPU time of its process a step


def run(bench: Bench) -> None:
    """Measure each concurrency in rounds of all systems."""
    with workers(bench.cluster, bench.folder) as (worker,), peers(bench) as theirs:
        lengths = {count: _warm(bench, worker, count) for count in CLIENTS}
        for name, peer in theirs.items():
            with bench.surviving(name):
                peer.steps(4, 5)
        inserts = pgbench.Inserts(bench, bench.cluster.one(ROW_BYTES)) if "pgbench" in bench.peers else None
        for count, clients in CLIENTS.items():
            systems: dict[str, Callable[[], Slice]] = {
                OURS: partial(measure, bench, worker, count, lengths[count]),
                **{name: partial(_theirs, peer, count) for name, peer in theirs.items()},
            }
            if inserts is not None:
                systems["pgbench"] = partial(_inserts, inserts, clients)
            _tell(bench, count, bench.rounds(systems, ROUNDS))


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


def _theirs(peer: Peer, count: int) -> Slice:
    return Slice(**peer.steps(count, PEER_STEPS[count]))


def _inserts(inserts: pgbench.Inserts, clients: int) -> Slice:
    return Slice(rate=inserts.rate(clients))


def _tell(bench: Bench, count: int, rounds: list[dict[str, Slice]]) -> None:
    results = bench.results
    for name in rounds[0]:
        found = [one[name] for one in rounds if name in one]
        metric = "single-row commits" if name == "pgbench" else "steps"
        results.add(NAME, metric, "1/s", [one.rate for one in found], concurrency=count, system=name)
        if costs := [one.cpu for one in found if one.cpu is not None]:
            results.add(NAME, "process CPU a step", "us", costs, concurrency=count, system=name)
    for name in rounds[0]:
        if name != OURS:
            rates = [one[OURS].rate / one[name].rate for one in rounds if name in one]
            results.compare(NAME, name, "steps", rates, GOALS.get((name, count), GOAL), concurrency=count)
            _tell_cpu(bench, count, name, [(one[OURS], one[name]) for one in rounds if name in one])


def _tell_cpu(bench: Bench, count: int, name: str, pairs: list[tuple[Slice, Slice]]) -> None:
    costs = [ours.cpu / theirs.cpu for ours, theirs in pairs if ours.cpu and theirs.cpu]
    goal = GOAL_CPU if name == "dbos" else GOAL
    bench.results.compare(NAME, name, "process CPU a step", costs, goal, better="lower", concurrency=count)
