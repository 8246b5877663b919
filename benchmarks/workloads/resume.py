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
ROUNDS, WARM = 12, 2
LENGTHS = (0, 1000, 10_000)
GOAL_US = 50.0
MOMENT = """
    select (convert_from(payload, 'UTF8')::jsonb ->> 'result')::float
    from missions_journal where mission_id = %s and path = %s
"""
SAID = "select count(*) from missions_journal where mission_id = %s and path = %s"


def run(bench: Bench) -> None:
    """Write the histories, then wake the missions in turns."""
    with workers(bench.cluster, bench.folder):
        given = {length: {"steps": length, "rounds": WARM + ROUNDS} for length in LENGTHS}
        missions = {length: starting.start("bench.resume", given[length])[0].pk for length in LENGTHS}
        found = [_round(bench, missions, number) for number in range(1, WARM + ROUNDS + 1)]
    _tell(bench, bench.calm.undisturbed(found[WARM:], ROUNDS))


def _round(bench: Bench, missions: dict[int, int], number: int) -> tuple[dict[int, float], float]:
    """Wake each mission once, when the machine is idle."""
    bench.parked(list(missions.values()))
    bench.cluster.settle()
    return bench.calm.measure(lambda: {length: _wake(bench, id_, number) for length, id_ in missions.items()})


def _wake(bench: Bench, mission: int, number: int) -> float:
    """Send a signal; seconds until the step after it began."""
    with transaction.atomic():
        mailbox.deliver(mission, "go", {})
        committing = time.monotonic()
    path = f"moment#{number}"
    bench.cluster.until(SAID, mission, path, is_=1)
    began: float = bench.cluster.one(MOMENT, mission, path)
    return began - committing


def _tell(bench: Bench, rounds: list[dict[int, float]]) -> None:
    results = bench.results
    for length in LENGTHS:
        times = [times[length] * 1000 for times in rounds]
        results.add(NAME, f"signal to next step behind {length:,} steps", "ms", times)
    for length in LENGTHS[1:]:
        each = [(times[length] - times[0]) / length * 1_000_000 for times in rounds]
        median = results.add(NAME, f"replay a step, of {length:,}", "us", each)
        results.at_most(NAME, f"us of replay a step, of {length:,}", median, GOAL_US)
