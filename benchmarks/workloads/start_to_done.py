"""From `start` to the end of a mission of one step, as its caller sees it.

The clock starts before `start` is called and stops when another session first sees the outcome; it looks every
half millisecond. Three transactions lie between: the start, the step with its claim, the end.
"""

from __future__ import annotations

import time

from benchmarks.bench import Bench
from benchmarks.processes import workers
from missions.engine import starting

NAME = "start_to_done"
SAMPLES, ROUNDS, WARM = 120, 4, 10
LOOK_SECONDS = 0.0005
ENDED = "select count(*) from missions_outcome where mission_id = %s"


def run(bench: Bench) -> None:
    """Start one at a time, with two workers waiting."""
    with workers(bench.cluster, bench.folder, 2):
        for _ in range(WARM):
            once(bench)
        times = bench.calm.collect(lambda: once(bench), SAMPLES)
    bench.results.add_samples(NAME, "start to outcome", "ms", times, ROUNDS)


def once(bench: Bench) -> float:
    """Start a mission of one step; milliseconds until its outcome was seen."""
    begun = time.monotonic()
    mission, _ = starting.start("bench.steps", {"steps": 1})
    while not bench.cluster.one(ENDED, mission.pk):
        time.sleep(LOOK_SECONDS)
    return (time.monotonic() - begun) * 1000
