"""One of two workers on the same host is killed with a hundred missions in flight; when do they go on?

The clock starts at the SIGKILL and stops when a mission's next step begins under its new attempt: the first one's, and
the last one's. All hundred are on the worker that dies; the other one has nothing to do before.
"""

from __future__ import annotations

import contextlib
import time

from benchmarks.bench import Bench
from benchmarks.processes import Worker

NAME = "takeover"
ROUNDS, MISSIONS, STEPS_BEFORE = 7, 100, 5
RING_SECONDS = 1.0  # a new worker has met its peers by then
GOAL_MS = 500.0
UNDER_WAY = """
    select count(*) from (
        select mission_id from missions_journal where mission_id = any (%s) and kind = 'step'
        group by mission_id having count(*) >= %s
    ) as mission
"""
WENT_ON = """
    select min((convert_from(payload, 'UTF8')::jsonb -> 'result' ->> 'at')::float)
    from missions_journal as entry
    where mission_id = any (%s) and kind = 'step'
        and attempt > (select max(attempt) from missions_takeover where mission_id = entry.mission_id)
    group by mission_id
"""


def run(bench: Bench) -> None:
    """Kill one worker after the other; whoever survives runs the next round's missions."""
    found = []
    with contextlib.ExitStack() as stack:
        runner = _worker(bench, stack, 0)
        for number in range(1, ROUNDS + 1):
            missions, until = _busy(bench, number)
            standby = _worker(bench, stack, number)
            time.sleep(RING_SECONDS)
            victim = runner
            found.append(bench.calm.measure(lambda: _kill(bench, victim, missions)))  # noqa: B023  (called at once)
            _end(bench, missions, until)
            runner = standby
    _tell(bench, bench.calm.undisturbed(found, ROUNDS))


def _kill(bench: Bench, victim: Worker, missions: list[int]) -> list[float]:
    """Kill the worker; for each mission the milliseconds until it went on."""
    killed = victim.kill()
    bench.cluster.until(f"select count(*) from ({WENT_ON}) as mission", missions, is_=MISSIONS)
    return [(row[0] - killed) * 1000 for row in bench.cluster.all(WENT_ON, missions)]


def _tell(bench: Bench, rounds: list[list[float]]) -> None:
    firsts, results = [min(times) for times in rounds], bench.results
    first = results.add(NAME, "kill to first step elsewhere", "ms", firsts, concurrency=MISSIONS)
    results.add(NAME, "kill to last of all going on", "ms", [max(times) for times in rounds], concurrency=MISSIONS)
    limit = "ms from kill to first step elsewhere, median"
    results.at_most(NAME, limit, first, GOAL_MS, concurrency=MISSIONS)


def _worker(bench: Bench, stack: contextlib.ExitStack, number: int) -> Worker:
    worker = Worker(bench.cluster, bench.folder, f"takeover-{number}")
    stack.callback(worker.stop)
    worker.ready()
    return worker


def _busy(bench: Bench, number: int) -> tuple[list[int], str]:
    """A hundred missions under way, and the file that ends them."""
    until = str(bench.folder / f"enough-{number}")
    missions = bench.closed("bench.busy", MISSIONS, {"until": until})
    bench.open(missions)
    bench.cluster.until(UNDER_WAY, missions, STEPS_BEFORE, is_=MISSIONS)
    return missions, until


def _end(bench: Bench, missions: list[int], until: str) -> None:
    with open(until, "x"):
        pass
    bench.ended(missions)
