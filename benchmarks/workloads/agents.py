"""Agents that wait for an LLM, all of them in one worker; and agents of very different age that come back.

`agents`: 500 missions wait for the same slow LLM at once. How much memory and CPU does the worker take, and when the
answers come, 20 a second, how soon does each mission take its next step? From the server's last word to the moment that
the tool says, which the agent calls next. Half of the missions have been through a SIGKILL of their worker before.

`agent_ages`: agents with 10, 100 and 1,000 turns behind them, in chapters of 25. A fresh worker comes up; how soon does
it ask the LLM for the turn that was cut off? In its rows `concurrency` holds the number of turns.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import count
from typing import Any

from benchmarks.bench import Bench
from benchmarks.cluster import wait_for
from benchmarks.processes import Process, Worker
from missions.engine import controls, starting
from missions.models import Agent, AgentVersion

NAME, AGES = "agents", "agent_ages"
MISSIONS, RATE, QUIET_SECONDS = 500, 20.0, 10.0
GOAL_MB, GOAL_MS, GOAL_RATIO = 400.0, 50.0, 1.5
TURNS = (10, 100, 1000)
DEATHS = 5
HOLDER = """
    select w.pid from missions_worker w join missions_mission m on m.owner = w.id where m.id = %s
"""
TURNS_MADE = "select count(*) from missions_journal where mission_id = %s and kind = 'outcome'"
MOMENT = """
    select m.id, (convert_from(j.payload, 'UTF8')::jsonb ->> 'result')::float
    from missions_journal j join missions_mission m on m.id = j.mission_id
    where m.id = any (%s) and j.kind = 'outcome'
"""


class Llm(Process):
    """The LLM server."""

    def __init__(self, bench: Bench, name: str) -> None:
        super().__init__(name, (sys.executable, "-m", "benchmarks.llm"), bench.folder, pipes=True)
        assert self.stdout is not None
        self.port = int(self.stdout.readline())

    @property
    def environment(self) -> dict[str, str]:
        """What makes workers think with it."""
        return {"LLM_PROVIDERS": f"bench=openai+http://127.0.0.1:{self.port}/v1?seconds=600&connections=1000",
                "LLM_CHAIN": "bench/bench"}  # fmt: skip

    def get(self, path: str) -> Any:
        """What one of its own addresses says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def told(self) -> dict[str, list[dict[str, float]]]:
        """For each goal its requests: when each came, and when it was answered."""
        found: dict[str, list[dict[str, float]]] = self.get("/told")
        return found


@contextlib.contextmanager
def thinking(bench: Bench, name: str) -> Iterator[Llm]:
    """The server, and an agent that thinks with it."""
    agent, _ = Agent.objects.get_or_create(name="bench")
    if agent.active is None:
        agent.active = AgentVersion.objects.create(
            agent=agent, number=1, title="Bench", instructions="Call the tool.", tools=["bench.moment"], digest="bench",
        )
        agent.save()
    llm = Llm(bench, name)
    try:
        yield llm
    finally:
        llm.stop()


def _handed(turns: int, mark: str) -> int:
    mission, _ = starting.start("agent", {"agent": "bench", "goal": f"turns={turns} {mark}"})
    return mission.pk


def run(bench: Bench) -> None:
    """500 missions that wait for one LLM."""
    with thinking(bench, "llm") as llm, contextlib.ExitStack() as stack:
        first = Worker(bench.cluster, bench.folder, "agents-1", **llm.environment)
        first.ready()
        ids = {_handed(1, f"m{number}"): f"turns=1 m{number}" for number in range(MISSIONS // 2)}
        wait_for(lambda: len(llm.told()) == len(ids), what="the first half asks")
        first.kill()
        first.stop()
        worker = Worker(bench.cluster, bench.folder, "agents-2", **llm.environment)
        stack.callback(worker.stop)
        worker.ready()
        ids |= {_handed(1, f"m{number}"): f"turns=1 m{number}" for number in range(MISSIONS // 2, MISSIONS)}
        wait_for(lambda: sum(map(len, llm.told().values())) == MISSIONS + MISSIONS // 2, what="all of them ask")
        begun = worker.cpu()
        time.sleep(QUIET_SECONDS)
        share, memory = (worker.cpu() - begun) / QUIET_SECONDS * 100, worker.rss() / 2**20
        llm.get(f"/go?rate={RATE}")
        bench.ended(list(ids))
        _tell(bench, llm, ids, share, memory)


def _tell(bench: Bench, llm: Llm, ids: dict[int, str], share: float, memory: float) -> None:
    told, add = llm.told(), bench.results.add
    delays = sorted(
        (moment - told[ids[mission]][-2]["answered"]) * 1000 for mission, moment in bench.cluster.all(MOMENT, list(ids))
    )
    requests = sum(map(len, told.values()))
    if len(delays) != MISSIONS or requests > 2 * MISSIONS + MISSIONS // 2:
        raise RuntimeError(f"{len(delays)} of {MISSIONS} went on, after {requests} requests")
    late = delays[int(len(delays) * 0.95)]
    add(NAME, "memory of the worker while all wait", "MB", [memory], concurrency=MISSIONS)
    add(NAME, "CPU of the worker while all wait", "%", [share], concurrency=MISSIONS)
    add(NAME, "answer to next step", "ms", delays, concurrency=MISSIONS)
    bench.results.at_most(NAME, "MB of the worker while all wait", memory, GOAL_MB, concurrency=MISSIONS)
    bench.results.at_most(NAME, "ms from answer to next step, p95", late, GOAL_MS, concurrency=MISSIONS)


def run_ages(bench: Bench) -> None:
    """Agents of different age whose worker dies."""
    with thinking(bench, "llm-ages") as llm, contextlib.ExitStack() as stack:
        pair = [_worker(bench, llm, stack, number) for number in range(2)]
        numbers = count(2)
        found: dict[int, tuple[list[float], float]] = {}
        for turns in TURNS:
            mission, goal = _handed(turns, "old"), f"turns={turns} old"
            asked = lambda: llm.told().get(goal, [])  # noqa: B023, E731
            wait_for(lambda: bench.cluster.one(TURNS_MADE, mission) >= turns - 1, seconds=900, what=goal)  # noqa: B023
            times, memory = [], 0.0
            for _ in range(DEATHS):
                wait_for(lambda: "answered" not in asked()[-1])  # noqa: B023  (the LLM holds the last turn)
                before, pid = len(asked()), bench.cluster.one(HOLDER, mission)
                holder = next(one for one in pair if one.pid == pid)
                killed = holder.kill()
                holder.stop()
                wait_for(lambda: len(asked()) > before)  # noqa: B023
                times.append((asked()[-1]["came"] - killed) * 1000)
                bench.cluster.do("update missions_mission set strikes = 0")  # it is not the mission that is to blame
                pair.remove(holder)
                memory = pair[0].rss() / 2**20
                pair.append(_worker(bench, llm, stack, next(numbers)))
            controls.request(mission, "cancel", by="benchmark", key="over")
            bench.ended([mission])
            found[turns] = times, memory
        _tell_ages(bench, found)


def _worker(bench: Bench, llm: Llm, stack: contextlib.ExitStack, number: int) -> Worker:
    worker = Worker(bench.cluster, bench.folder, f"ages-{number}", **llm.environment)
    stack.callback(worker.stop)
    worker.ready()
    return worker


def _tell_ages(bench: Bench, found: dict[int, tuple[list[float], float]]) -> None:
    add = bench.results.add
    for turns, (times, memory) in found.items():
        add(AGES, "death of its worker to the turn that was cut off", "ms", times, concurrency=turns)
        add(AGES, "memory of a fresh worker with it", "MB", [memory], concurrency=turns)
    (young, small), (old, large) = found[TURNS[1]], found[TURNS[-1]]
    ratio = add(AGES, "ten times as old", "ratio", [b / a for a, b in zip(sorted(young), sorted(old), strict=True)],
                concurrency=TURNS[-1])  # fmt: skip
    bench.results.at_most(AGES, "time to come back, ten times as old", ratio, GOAL_RATIO, concurrency=TURNS[-1])
    bench.results.at_most(AGES, "memory, ten times as old", large / small, GOAL_RATIO, concurrency=TURNS[-1])
