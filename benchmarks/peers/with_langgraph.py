"""LangGraph's side: a graph with the asynchronous Postgres saver on a pool, durability `sync`.

It has no worker and delivers nothing: whoever starts or resumes a thread runs it. So there is one role, `host`, and a
resume is a direct call in the process that has the graph.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.peers.answering import Gate, Moments, at_most, given, record, serve

POOL = 16
AT_ONCE = 32
RECURSION = 1_000_000
moments, rounds_of = Moments(), dict[str, int]()
gates: dict[str, Gate] = {}


class Thread(TypedDict):
    """A thread's state."""

    name: str
    gate: str  # the gate that it waits at first, or ""
    number: int
    steps: int
    last: dict[str, Any]
    rounds: int


async def same(state: Thread) -> dict[str, Any]:
    gate = gates.get(state["gate"])
    if gate is not None and state["number"] == 0:
        await gate.passed()
    return {"number": state["number"] + 1, "last": record(state["number"])}


async def wait(state: Thread) -> dict[str, Any]:
    interrupt("go")
    return {"last": {"at": time.monotonic()}, "rounds": state["rounds"] - 1}


def after_step(state: Thread) -> str:
    if state["number"] < state["steps"]:
        return "same"
    return "wait" if state["rounds"] else END


def after_wait(state: Thread) -> str:
    return "wait" if state["rounds"] else END


class Host:
    """Runs graphs."""

    def __init__(self, saver: AsyncPostgresSaver) -> None:
        graph = StateGraph(Thread)
        graph.add_node("same", same)
        graph.add_node("wait", wait)
        graph.add_edge(START, "same")
        graph.add_conditional_edges("same", after_step, ["same", "wait", END])
        graph.add_conditional_edges("wait", after_wait, ["wait", END])
        self._graph = graph.compile(checkpointer=saver)

    async def do_steps(self, prefix: str, missions: int, length: int) -> dict[str, float]:
        """Supersteps a second of threads side by side."""
        gates[prefix] = gate = Gate(missions, length)

        async def one(number: int) -> None:
            await self._run(f"{prefix}-{number}", length, gate=prefix)
            gate.done()

        calls = [partial(one, number) for number in range(missions)]
        figures, _ = await asyncio.gather(gate.timed(), at_most(missions, calls))
        return figures

    async def do_starts(self, prefix: str, count: int) -> dict[str, list[float]]:
        """Milliseconds from the start of a thread of one step to its end, one after the other."""
        times = []
        for number in range(count):
            begun = time.monotonic()
            await self._run(f"{prefix}-{number}", 1)
            times.append((time.monotonic() - begun) * 1000)
        return {"ms": times}

    async def do_park(self, prefix: str, missions: int, steps: int, rounds: int) -> dict[str, list[str]]:
        """Threads that have done their steps and wait; their names."""
        names = [f"{prefix}-{number}" for number in range(missions)]
        await at_most(AT_ONCE, [partial(self._run, name, steps, rounds=rounds) for name in names])
        return {"names": names}

    async def do_send(self, name: str) -> dict[str, float]:
        """Resume a thread; when the call began, twice: nothing is sent. The round's moment is kept for `do_woke`."""
        rounds_of[name] = number = rounds_of.get(name, 0) + 1
        begun = time.monotonic()
        state = await self._graph.ainvoke(Command(resume="go"), _thread(name), durability="sync")
        moments.keep(f"{name}/{number}", state["last"]["at"])
        return {"called": begun, "returned": begun}

    async def do_woke(self, names: list[str]) -> dict[str, list[float]]:
        """When the waits of these names were over."""
        return {"at": await moments.all(names)}

    async def _run(self, name: str, steps: int, *, rounds: int = 0, gate: str = "") -> None:
        state = Thread(name=name, gate=gate, number=0, steps=steps, last={}, rounds=rounds)
        await self._graph.ainvoke(state, _thread(name), durability="sync")


def _thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}, "recursion_limit": RECURSION}


async def make() -> Host:
    """Open the pool, make the tables."""
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    pool: Any = AsyncConnectionPool(given()["url"], min_size=1, max_size=POOL, kwargs=options, open=False)
    await pool.open()
    saver = AsyncPostgresSaver(pool)
    await saver.setup()
    return Host(saver)


if __name__ == "__main__":
    serve(make)
