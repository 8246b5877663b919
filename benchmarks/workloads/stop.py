"""A stop button is pressed while a hundred missions call a tool, over two workers; when does the last call start?

The clock starts before the button's transaction and stops when the last call of the stopped tool began, and when no
worker holds any mission any more once everything is stopped (looked at every millisecond or two).
"""

from __future__ import annotations

import contextlib
import time

from benchmarks.bench import Bench
from benchmarks.processes import Worker
from missions.engine import stops

NAME = "stop"
ROUNDS, MISSIONS, WORKERS, CALLS_BEFORE = 5, 100, 2, 3
GOAL_MS = 100.0
BY = {"reason": "The benchmark presses it.", "by": "benchmark"}
UNDER_WAY = """
    select count(*) from (
        select mission_id from missions_journal where mission_id = any (%s) and kind = 'outcome'
        group by mission_id having count(*) >= %s
    ) as mission
"""
LAST_CALL = """
    select max((convert_from(payload, 'UTF8')::jsonb ->> 'result')::float)
    from missions_journal where mission_id = any (%s) and kind = 'outcome'
"""
OWNED = "select count(*) from missions_mission where id = any (%s) and owner is not null"
PARKED = "select count(*) from missions_mission where id = any (%s) and owner is null"


def run(bench: Bench) -> None:
    """Press the button of the tool, and the one of everything, in turn."""
    with contextlib.ExitStack() as stack:
        for number in range(WORKERS):
            worker = Worker(bench.cluster, bench.folder, f"stop-{number}")
            stack.callback(worker.stop)
            worker.ready()
        found = [bench.calm.measure(lambda: _round(bench, number)) for number in range(ROUNDS)]  # noqa: B023
    rounds = bench.calm.undisturbed(found, ROUNDS)
    tool = bench.results.add(NAME, "button to last call of the tool", "ms", [one[0] for one in rounds],
                             concurrency=MISSIONS)  # fmt: skip
    all_ = bench.results.add(NAME, "button of everything to no mission in memory", "ms", [one[1] for one in rounds],
                             concurrency=MISSIONS)  # fmt: skip
    bench.results.at_most(NAME, "ms from the button to the last call, median", tool, GOAL_MS, concurrency=MISSIONS)
    bench.results.at_most(NAME, "ms until no mission is in memory, median", all_, GOAL_MS, concurrency=MISSIONS)


def _round(bench: Bench, number: int) -> tuple[float, float]:
    """Milliseconds from each button: to the last call of the tool, and to the last mission's leaving."""
    until = str(bench.folder / f"stopped-{number}")
    missions = bench.closed("bench.calls", MISSIONS, {"until": until})
    bench.open(missions)
    bench.cluster.until(UNDER_WAY, missions, CALLS_BEFORE, is_=MISSIONS)
    pressed = time.monotonic()
    tool = stops.press("tool", "bench.look", **BY)
    bench.cluster.until(PARKED, missions, is_=MISSIONS)
    last = (float(bench.cluster.one(LAST_CALL, missions)) - pressed) * 1000
    stops.lift(tool.pk, by="benchmark")
    bench.cluster.until(UNDER_WAY, missions, CALLS_BEFORE * 10, is_=MISSIONS)
    pressed = time.monotonic()
    everything = stops.press("all", **BY)
    while bench.cluster.one(OWNED, missions):
        time.sleep(0.001)
    gone = (time.monotonic() - pressed) * 1000
    with open(until, "x"):
        pass
    stops.lift(everything.pk, by="benchmark")
    bench.ended(missions)
    return max(last, 0.0), gone
