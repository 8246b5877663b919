"""From `start` to the end of a mission of one step, as its caller sees it.

Ours is started by another process than the one that runs it, as always. The clock starts before `start` is called and
stops when another session first sees the outcome; it looks every half millisecond. Three transactions lie between: the
start, the step with its claim, the end. How much of it is the call of `start` is told apart.

DBOS and LangGraph are started in the process that runs them, where they are fastest, and Absurd by its client; DBOS's
way of a start from another process, a queue, has a row of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from benchmarks.bench import Bench
from benchmarks.peers.process import peers
from benchmarks.processes import workers
from benchmarks.results import OURS
from missions.engine import starting

NAME, METRIC = "start_to_done", "start to outcome"
ROUNDS, SAMPLES, WARM = 5, 24, 10
QUEUED = "dbos from another process"
PEER_SAMPLES = {"dbos": 24, "langgraph": 24, "absurd": 8, QUEUED: 2}
GOALS = {"dbos": 0.25}
LOOK_SECONDS = 0.0005
ENDED = "select count(*) from missions_outcome where mission_id = %s"


def run(bench: Bench) -> None:
    """Start one at a time, with two workers of ours waiting."""
    with workers(bench.cluster, bench.folder, 2), peers(bench) as theirs:
        for peer in theirs.values():
            peer.serve(concurrency=1)
        calls: list[float] = []
        systems: dict[str, Callable[[], list[float]]] = {
            OURS: partial(_ours, bench, SAMPLES, calls),
            **{name: partial(peer.starts, PEER_SAMPLES[name]) for name, peer in theirs.items()},
        }
        if "dbos" in theirs:
            systems[QUEUED] = partial(theirs["dbos"].starts, PEER_SAMPLES[QUEUED], "sender")
        _ours(bench, WARM, [])
        for name, peer in theirs.items():
            with bench.surviving(name):
                peer.starts(1)
        _tell(bench, bench.rounds(systems, ROUNDS))
    bench.results.add_samples(NAME, "of it, the call of start", "ms", [calls])


def _ours(bench: Bench, count: int, calls: list[float]) -> list[float]:
    return [once(bench, calls) for _ in range(count)]


def once(bench: Bench, calls: list[float]) -> float:
    """Start a mission of one step; milliseconds until its outcome was seen. Adds those of the call to `calls`."""
    begun = time.monotonic()
    mission, _ = starting.start("bench.steps", {"steps": 1})
    calls.append((time.monotonic() - begun) * 1000)
    while not bench.cluster.one(ENDED, mission.pk):
        time.sleep(LOOK_SECONDS)
    return (time.monotonic() - begun) * 1000


def _tell(bench: Bench, rounds: list[dict[str, list[float]]]) -> None:
    for name in rounds[0]:
        bench.results.add_samples(NAME, METRIC, "ms", [one[name] for one in rounds if name in one], system=name)
    for name in rounds[0]:
        if name != OURS:
            pairs = [(one[OURS], one[name]) for one in rounds if name in one]
            each = [statistics.median(ours) / statistics.median(theirs) for ours, theirs in pairs]
            bench.results.compare(NAME, name, METRIC, each, GOALS.get(name, 1.0), better="lower")
