"""DBOS Transact's side: its defaults, asynchronous workflows, started in the process that runs them.

Roles: `host` runs workflows under the executor `name`; `sender` only has a client, as another program would.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig, SetWorkflowID

from benchmarks.peers.answering import WORK_SECONDS, Gate, Moments, at_most, given, record, serve, until

VERSION = "1"  # of the workflows' code: all processes of a run share it
QUEUE = "bench"
DAY = 86400.0
AT_ONCE = 64
BUSY_STEPS = 10_000
POLL_SECONDS = 0.0005
QUEUE_SECONDS = 1.0  # how often it looks at a queue, by default
moments, waiting = Moments(), set[str]()
gates: dict[str, Gate] = {}


@DBOS.step()
async def same(number: int) -> dict[str, Any]:
    return record(number)


@DBOS.step()
async def moment(name: str) -> float:
    return moments.note(name)


@DBOS.step()
async def work(name: str) -> float:
    begun = moments.note(name)
    await asyncio.sleep(WORK_SECONDS)
    return begun


@DBOS.workflow()
async def short() -> dict[str, Any]:
    return await same(1)


@DBOS.workflow()
async def gated(prefix: str) -> None:
    gate = gates[prefix]
    await gate.passed()
    for number in range(gate.length):
        await same(number)
    gate.done()


@DBOS.workflow()
async def waiter(name: str, steps: int, rounds: int) -> None:
    for number in range(steps):
        await same(number)
    for number in range(1, rounds + 1):
        waiting.add(f"{name}/{number}")
        await DBOS.recv_async("go", timeout_seconds=DAY)
        await moment(f"{name}/{number}")


@DBOS.workflow()
async def busy(name: str) -> None:
    for _ in range(BUSY_STEPS):
        await work(name)


class Host:
    """Runs workflows."""

    async def do_steps(self, prefix: str, missions: int, length: int) -> dict[str, float]:
        """Steps a second of workflows side by side."""
        gates[prefix] = gate = Gate(missions, length)
        started = asyncio.gather(*(DBOS.start_workflow_async(gated, prefix) for _ in range(missions)))
        figures = await gate.timed()
        for handle in await started:
            await handle.get_result()  # what ends here must not burden the next one's turn
        return figures

    async def do_starts(self, prefix: str, count: int) -> dict[str, list[float]]:
        """Milliseconds from the start of a workflow of one step to its result, one after the other."""
        times = []
        for _ in range(count):
            begun = time.monotonic()
            await (await DBOS.start_workflow_async(short)).get_result()
            times.append((time.monotonic() - begun) * 1000)
        return {"ms": times}

    async def do_park(self, prefix: str, missions: int, steps: int, rounds: int) -> dict[str, list[str]]:
        """Workflows that have done their steps and wait; their names."""
        names = [f"{prefix}-{number}" for number in range(missions)]
        await at_most(AT_ONCE, [partial(_start, name, waiter, name, steps, rounds) for name in names])
        await until(lambda: all(f"{name}/1" in waiting for name in names), "all wait")
        await asyncio.sleep(1.0)  # they are inside of `recv` by then
        return {"names": names}

    async def do_busy(self, prefix: str, missions: int) -> dict[str, list[str]]:
        """Workflows under way; their names."""
        names = [f"{prefix}-{number}" for number in range(missions)]
        await at_most(AT_ONCE, [partial(_start, name, busy, name) for name in names])
        return {"names": names}

    async def do_woke(self, names: list[str]) -> dict[str, list[float]]:
        """When the steps of these names began here."""
        return {"at": await moments.all(names)}

    async def do_recover(self, executor: str) -> dict[str, float]:
        """Take over what another executor left: by hand, for nothing in the open library notices its death."""
        begun = time.monotonic()
        await asyncio.to_thread(DBOS._recover_pending_workflows, [executor])
        return {"at": begun}


class Sender:
    """Another program's client."""

    def __init__(self, url: str) -> None:
        self._client = DBOSClient(system_database_url=url)

    async def do_send(self, name: str) -> dict[str, float]:
        """Send what the workflow waits for; when the call began and returned."""
        begun = time.monotonic()
        self._client.send(name, {}, "go")
        return {"called": begun, "returned": time.monotonic()}

    async def do_starts(self, prefix: str, count: int) -> dict[str, list[float]]:
        """The way of a start from another process, which is a queue; milliseconds to the result."""
        times = []
        for _ in range(count):
            await asyncio.sleep(random.uniform(0, QUEUE_SECONDS))  # not always right after the queue was looked at
            begun = time.monotonic()
            handle = self._client.enqueue({"workflow_name": "short", "queue_name": QUEUE})
            handle.get_result(polling_interval_sec=POLL_SECONDS)
            times.append((time.monotonic() - begun) * 1000)
        return {"ms": times}


async def _start(name: str, workflow: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
    with SetWorkflowID(name):
        await DBOS.start_workflow_async(workflow, *args)


async def make() -> Host | Sender:
    """What the process was started as."""
    facts = given()
    if facts["role"] == "sender":
        return Sender(facts["url"])
    config = DBOSConfig(
        name="bench", system_database_url=facts["url"], executor_id=facts["name"], application_version=VERSION,
        log_level="ERROR",
    )  # fmt: skip
    DBOS(config=config)
    DBOS.launch()
    await DBOS.register_queue_async(QUEUE)
    return Host()


if __name__ == "__main__":
    serve(make)
