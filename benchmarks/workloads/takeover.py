"""One of two workers on the same host is killed with a hundred missions in flight; when do they go on?

The clock starts at the SIGKILL and stops when a mission's next step begins under its new attempt: the first one's, and
the last one's. All hundred are on the worker that dies; the other one has nothing to do before.

Peers are measured once. The open DBOS notices no death: its recovery is called by hand at the instant of the kill.
Absurd notices when a lease ends: its claims are given ten seconds instead of their two minutes. LangGraph has none.
"""

from __future__ import annotations

import contextlib
import time

from benchmarks.bench import Bench
from benchmarks.peers.process import Peer, peers
from benchmarks.processes import Worker
from benchmarks.results import OURS

NAME = "takeover"
ROUNDS, MISSIONS, STEPS_BEFORE = 5, 100, 5
RING_SECONDS = 1.0  # a new worker has met its peers by then
GOAL_FIRST_MS, GOAL_ALL_MS = 100.0, 300.0
LEASE_SECONDS = 10
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
    first, last = _tell(bench, OURS, bench.calm.undisturbed(found, ROUNDS))
    words = "ms from kill to {} step elsewhere, median"
    bench.results.at_most(NAME, words.format("first"), first, GOAL_FIRST_MS, concurrency=MISSIONS)
    bench.results.at_most(NAME, words.format("the last mission's first"), last, GOAL_ALL_MS, concurrency=MISSIONS)
    with peers(bench, "langgraph") as theirs:
        for name, peer in theirs.items():
            with bench.surviving(name):
                _tell(bench, name, [_theirs(peer)])


def _kill(bench: Bench, victim: Worker, missions: list[int]) -> list[float]:
    """Kill the worker; for each mission the milliseconds until it went on."""
    killed = victim.kill()
    bench.cluster.until(f"select count(*) from ({WENT_ON}) as mission", missions, is_=MISSIONS)
    return [(row[0] - killed) * 1000 for row in bench.cluster.all(WENT_ON, missions)]


def _theirs(peer: Peer) -> list[float]:
    """Kill the peer's process; for each mission the milliseconds until it went on in another."""
    names = peer.host.ask("busy", prefix="busy", missions=MISSIONS)["names"]
    peer.serve(MISSIONS, lease=LEASE_SECONDS)
    peer.woke(names)
    victim, peer.host = peer.host, peer.process("host")
    peer.serve(MISSIONS, lease=LEASE_SECONDS)
    time.sleep(RING_SECONDS)
    killed = victim.kill()
    if peer.kind.hot:
        peer.host.ask("recover", executor=victim.executor)
    return [(at - killed) * 1000 for at in peer.woke(names)]


def _tell(bench: Bench, system: str, rounds: list[list[float]]) -> tuple[float, float]:
    """Rows of the first and of the last mission; their medians."""
    facts = {"concurrency": MISSIONS, "system": system}
    first = bench.results.add(NAME, "kill to first step elsewhere", "ms", [min(one) for one in rounds], **facts)
    last = bench.results.add(NAME, "kill to last of all going on", "ms", [max(one) for one in rounds], **facts)
    return first, last


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
