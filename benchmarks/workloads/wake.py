"""From a signal, or a person's vote, to the next step of a mission that left memory long ago; and 200 of them at once.

The clock stops when the first step after the wait begins: between lie the commit, the hint, the claim, the replay and
the record that the answer was taken. There are two clocks. One starts when the sender's call begins. The other starts
when the signal is durable: for ours when its transaction is about to be committed, so that the flush is in it; for a
peer when the sender's call returns, which is after it. Two workers wait, as under `manage.py up`, and one mission is
woken at a time, when the machine is idle.

DBOS keeps its waiting workflows in memory. LangGraph delivers nothing: its figure is a direct call in the process that
has the graph. Absurd polls.
"""

from __future__ import annotations

import operator
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.contrib.auth.models import Group, User
from django.db import transaction

from approvals import votes
from approvals.models import Decision
from benchmarks.bench import Bench
from benchmarks.calm import MOST
from benchmarks.peers.process import Peer, peers
from benchmarks.processes import workers
from benchmarks.results import OURS
from missions.engine import mailbox

NAME, VOTE = "wake", "vote"
CALLED, COMMITTED = "signal sent to next step", "signal committed to next step"
ROUNDS, SAMPLES = 5, 20
PEER_SAMPLES = {"dbos": 20, "langgraph": 20, "absurd": 6}
AT_ONCE, AT_ONCE_ROUNDS = 200, 5
GOALS = {("dbos", COMMITTED): 1 / 3}
GOAL_MS, GOAL_AT_ONCE_MS = 10.0, 250.0
BEGAN = """
    select (convert_from(payload, 'UTF8')::jsonb ->> 'result')::float
    from missions_journal where mission_id = any (%s) and path = 'moment#1'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """One mission woken; milliseconds until its next step began."""

    since_call: float
    since_commit: float


CLOCKS: dict[str, Callable[[Wake], float]] = {
    CALLED: operator.attrgetter("since_call"), COMMITTED: operator.attrgetter("since_commit"),
}  # fmt: skip


def run(bench: Bench) -> None:
    """Park, then wake one after the other, then many."""
    random.seed(1)
    voter = User.objects.create_user("bench")
    voter.groups.add(Group.objects.get_or_create(name="supervisors")[0])
    with workers(bench.cluster, bench.folder, 2):
        with peers(bench) as theirs:
            systems: dict[str, Callable[[], list[Wake]]] = {
                OURS: partial(_some, bench, _parked(bench, "bench.wait", {"steps": 1}), _signal),
                VOTE: partial(_some, bench, _parked(bench, "bench.vote", {}), partial(_vote, voter)),
            }
            for name, peer in theirs.items():
                with bench.surviving(name):
                    peer.serve(concurrency=1)
                    systems[name] = partial(_theirs, peer, peer.park(PEER_SAMPLES[name] * ROUNDS * MOST))
            for measure in (systems[OURS], systems[VOTE]):
                measure()
            _tell(bench, bench.rounds(systems, ROUNDS))
        times = bench.calm.collect(partial(_at_once, bench), AT_ONCE_ROUNDS)
    last = bench.results.add(NAME, "signals committed to last next step", "ms", times, concurrency=AT_ONCE)
    bench.results.at_most(NAME, "ms to the last of 200 woken at once", last, GOAL_AT_ONCE_MS, concurrency=AT_ONCE)


def _parked(bench: Bench, type: str, given: dict[str, int]) -> list[int]:
    missions = bench.closed(type, SAMPLES * (1 + ROUNDS * MOST), given)
    bench.open(missions)
    bench.parked(missions)
    random.shuffle(missions)
    return missions


def _some(bench: Bench, missions: list[int], send: Callable[[int], tuple[float, float]]) -> list[Wake]:
    """Wake the next few."""
    return [_wake(bench, missions.pop(), send) for _ in range(SAMPLES)]


def _wake(bench: Bench, mission: int, send: Callable[[int], tuple[float, float]]) -> Wake:
    called, committing = send(mission)
    began = _began(bench, [mission])[0]
    return Wake(since_call=(began - called) * 1000, since_commit=(began - committing) * 1000)


def _began(bench: Bench, missions: list[int]) -> list[float]:
    """When the next steps of these missions began, once they have ended."""
    bench.ended(missions)
    return [began for (began,) in bench.cluster.all(BEGAN, missions)]


def _signal(mission: int) -> tuple[float, float]:
    """Send the signal; when the call began, and when its transaction was about to be committed."""
    called = time.monotonic()
    with transaction.atomic():
        mailbox.deliver(mission, "go", {})
        committing = time.monotonic()
    return called, committing


def _vote(voter: User, mission: int) -> tuple[float, float]:
    """Cast the vote; both moments, like `_signal`."""
    decision = Decision.objects.get(mission_id=mission)
    called = time.monotonic()
    with transaction.atomic():
        votes.cast(decision.pk, voter, "approve", decision.digest, channel="benchmark")
        committing = time.monotonic()
    return called, committing


def _theirs(peer: Peer, names: list[str]) -> list[Wake]:
    found = [peer.wake(names.pop()) for _ in range(PEER_SAMPLES[peer.kind.name])]
    return [Wake(since_call=called * 1000, since_commit=committed * 1000) for called, committed in found]


def _at_once(bench: Bench) -> float:
    """Wake 200 by one transaction; milliseconds from its commit until the last one's next step began."""
    missions = bench.closed("bench.wait", AT_ONCE, {"steps": 1})
    bench.open(missions)
    bench.parked(missions)
    with transaction.atomic():
        for mission in sorted(missions):
            mailbox.deliver(mission, "go", {})
        committing = time.monotonic()
    return (max(_began(bench, missions)) - committing) * 1000


def _tell(bench: Bench, rounds: list[dict[str, list[Wake]]]) -> None:
    results = bench.results
    for clock, since in CLOCKS.items():
        for name in rounds[0]:
            samples = [[since(one) for one in found[name]] for found in rounds if name in found]
            words, system = (clock.replace("signal", VOTE), OURS) if name == VOTE else (clock, name)
            late = results.add_samples(NAME, words, "ms", samples, system=system)
            if system == OURS and clock == COMMITTED:
                results.at_most(NAME, f"ms from {words}, p95", late, GOAL_MS)
        for name in [name for name in rounds[0] if name not in (VOTE, OURS)]:
            pairs = [(found[OURS], found[name]) for found in rounds if name in found]
            each = [_median(ours, since) / _median(theirs, since) for ours, theirs in pairs]
            results.compare(NAME, name, clock, each, GOALS.get((name, clock), 1.0), better="lower")


def _median(found: list[Wake], since: Callable[[Wake], float]) -> float:
    return statistics.median(since(one) for one in found)
