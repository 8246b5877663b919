"""What a long history costs when its mission comes back: replay time a recorded step.

The missions wait, out of memory, behind 0, 1,000 and 10,000 recorded steps; their inputs are plain numbers, or typed: a
model with an amount, a date and a text. The clock starts when a signal's transaction is about to be committed and stops
when the next step begins. What the mission without history takes is subtracted round by round; the rest is loading and
replaying. A third kind does its steps in chapters of a hundred: it is not to matter how many came before.

Beside the peers it is the whole time that counts, from the sender's call on. DBOS keeps waiting workflows in memory, so
its figure is a recovery after its process was killed, from the call that recovers. LangGraph replays nothing: it loads
the newest state.

In this workload's rows `concurrency` holds the number of recorded steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count

from django.db import transaction

from benchmarks.bench import Bench
from benchmarks.calm import MOST
from benchmarks.peers.kinds import KINDS
from benchmarks.peers.process import Peer, peers
from benchmarks.processes import workers
from missions.engine import mailbox, starting

NAME = "resume"
ROUNDS, WARM = 6, 1
LENGTHS = (0, 1000, 10_000)
GOALS_US = {"plain": 10.0, "typed": 25.0}
PEER_LENGTHS = {"dbos": (1000,), "langgraph": (1000, 10_000), "absurd": (1000, 10_000)}
TYPES = {"plain": "bench.resume", "typed": "bench.resume_typed", "chapters": "bench.resume_chapters"}
WORDS = {"plain": "plain inputs", "typed": "typed inputs", "chapters": "in chapters"}
NO_DIFFERENCE = 1.3  # docs/benchmarks.md: a smaller difference is none
MOMENT = """
    select (convert_from(payload, 'UTF8')::jsonb ->> 'result')::float
    from missions_journal where mission_id = %s and path = %s
"""
SAID = "select count(*) from missions_journal where mission_id = %s and path = %s"


@dataclass(frozen=True, slots=True)
class Case:
    """What is resumed."""

    system: str  # a peer, or one of ours in `TYPES`
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Seconds until the next step began."""

    since_call: float
    since_commit: float


def run(bench: Bench) -> None:
    """Write the histories, then wake the missions in turns."""
    given = {length: {"steps": length, "rounds": WARM + ROUNDS * MOST} for length in LENGTHS}
    with workers(bench.cluster, bench.folder), peers(bench) as theirs:
        ours = {
            Case(inputs, length): starting.start(type, given[length])[0].pk
            for inputs, type in TYPES.items() for length in LENGTHS
        }  # fmt: skip
        bench.parked(list(ours.values()))
        systems: dict[Case, Callable[[], Resumed]] = {
            case: partial(_ours, bench, mission, count(1)) for case, mission in ours.items()
        }
        for measure in systems.values():
            measure()  # WARM
        for name, peer in theirs.items():
            with bench.surviving(name):
                systems.update(_theirs(peer, name))
        bench.cluster.settle()
        _tell(bench, bench.rounds(systems, ROUNDS))


def _ours(bench: Bench, mission: int, numbers: Iterator[int]) -> Resumed:
    """Send a signal, when the mission has left memory."""
    bench.parked([mission])
    called = time.monotonic()
    with transaction.atomic():
        mailbox.deliver(mission, "go", {})
        committing = time.monotonic()
    path = f"moment#{next(numbers)}"
    bench.cluster.until(SAID, mission, path, is_=1)
    began: float = bench.cluster.one(MOMENT, mission, path)
    return Resumed(since_call=began - called, since_commit=began - committing)


def _theirs(peer: Peer, name: str) -> dict[Case, Callable[[], Resumed]]:
    """Histories of a peer, and what resumes each."""
    peer.serve(concurrency=4)
    found: dict[Case, Callable[[], Resumed]] = {}
    for length in PEER_LENGTHS[name]:
        (mission,) = peer.park(1, steps=length, rounds=ROUNDS * MOST)
        resume = peer.recovered if peer.kind.hot else peer.wake
        found[Case(name, length)] = partial(_resumed, resume, mission, count(1))
    return found


def _resumed(resume: Callable[[str, int], tuple[float, float]], mission: str, numbers: Iterator[int]) -> Resumed:
    called, committed = resume(mission, next(numbers))
    return Resumed(since_call=called, since_commit=committed)


def _tell(bench: Bench, rounds: list[dict[Case, Resumed]]) -> None:
    for case in rounds[0]:
        if case.system in TYPES:
            _tell_ours(bench, case, rounds)
    young, old = (Case("chapters", length) for length in LENGTHS[1:])
    ages = [one[old].since_call / one[young].since_call for one in rounds]
    ratio = bench.results.add(NAME, "in chapters, ten times as old", "ratio", ages, concurrency=old.length)
    bench.results.at_most(NAME, "in chapters, ten times as old", ratio, NO_DIFFERENCE, concurrency=old.length)
    for case in rounds[0]:
        if case.system not in TYPES:
            _tell_theirs(bench, case, [one for one in rounds if case in one])


def _tell_ours(bench: Bench, case: Case, rounds: list[dict[Case, Resumed]]) -> None:
    results, words = bench.results, WORDS[case.system]
    times = [one[case].since_call * 1000 for one in rounds]
    results.add(NAME, f"signal sent to next step, {words}", "ms", times, concurrency=case.length)
    if case.length and case.system in GOALS_US:
        none = Case(case.system, 0)
        costs = [one[case].since_commit - one[none].since_commit for one in rounds]
        each = [seconds / case.length * 1_000_000 for seconds in costs]
        median = results.add(NAME, f"replay a step, {words}", "us", each, concurrency=case.length)
        limit = f"us of replay a step, {words}"
        results.at_most(NAME, limit, median, GOALS_US[case.system], concurrency=case.length)


def _tell_theirs(bench: Bench, case: Case, rounds: list[dict[Case, Resumed]]) -> None:
    hot = KINDS[case.system].hot
    metric = "recovery called to next step" if hot else "signal sent to next step"
    times = [one[case].since_call * 1000 for one in rounds]
    bench.results.add(NAME, metric, "ms", times, concurrency=case.length, system=case.system)
    for system in ("plain", "chapters"):
        each = [one[Case(system, case.length)].since_call / one[case].since_call for one in rounds]
        words = f"signal sent to next step, {WORDS[system]}"
        bench.results.compare(NAME, case.system, words, each, better="lower", concurrency=case.length)
