"""What a long history costs when its mission comes back: replay time a recorded step.

The missions wait, out of memory, behind 0, 1,000 and 10,000 recorded steps. The clock starts when a signal's
transaction is about to be committed and stops when the next step begins. What the mission without history takes is
subtracted round by round; the rest is loading and replaying.
"""

from __future__ import annotations

import time

from django.db import transaction

from benchmarks.bench import Bench
from benchmarks.processes import workers
from missions.engine import mailbox, starting

NAME = "resume"
ROUNDS = 9  # the first is not counted
LENGTHS = (0, 1000, 10_000)
GOAL_US = 50.0
MOMENT = """
    select (convert_from(payload, 'UTF8')::jsonb ->> 'result')::float
    from missions_journal where mission_id = %s and path = %s
"""
SAID = "select count(*) from missions_journal where mission_id = %s and path = %s"


def run(bench: Bench) -> None:
    """Write the histories, then wake the missions in turns."""
    times: dict[int, list[float]] = {length: [] for length in LENGTHS}
    with workers(bench.cluster, bench.folder):
        given = {length: {"steps": length, "rounds": ROUNDS} for length in LENGTHS}
        missions = {length: starting.start("bench.resume", given[length])[0].pk for length in LENGTHS}
        for number in range(1, ROUNDS + 1):
            bench.parked(list(missions.values()))
            bench.cluster.settle()
            for length in LENGTHS:
                times[length].append(_wake(bench, missions[length], number))
    _tell(bench, {length: values[1:] for length, values in times.items()})


def _wake(bench: Bench, mission: int, number: int) -> float:
    """Send a signal; seconds until the step after it began."""
    bench.calm.wait()
    with transaction.atomic():
        mailbox.deliver(mission, "go", {})
        committing = time.monotonic()
    path = f"moment#{number}"
    bench.cluster.until(SAID, mission, path, is_=1)
    began: float = bench.cluster.one(MOMENT, mission, path)
    return began - committing


def _tell(bench: Bench, times: dict[int, list[float]]) -> None:
    results, bare = bench.results, times[0]
    for length in LENGTHS:
        results.add(NAME, f"signal to next step behind {length:,} steps", "ms", [value * 1000 for value in times[length]])
    for length in LENGTHS[1:]:
        each = [(long - short) / length * 1_000_000 for long, short in zip(times[length], bare, strict=True)]
        median = results.add(NAME, f"replay a step, of {length:,}", "us", each)
        results.at_most(NAME, f"us of replay a step, of {length:,}", median, GOAL_US)
