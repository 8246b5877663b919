"""Absurd's side: its worker and its client as they come, polling every 250 ms; its schema is made by `absurdctl init`.

Roles: `host` runs workers, each on a connection of its own; `sender` only has a client, as another program would.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from functools import partial
from typing import Any

import psycopg
from absurd_sdk import AsyncAbsurd, AsyncTaskContext

from benchmarks.peers.answering import PATIENCE, WORK_SECONDS, Gate, Moments, given, record, serve

QUEUE = "bench"
MOST_CONNECTIONS = 8  # its best setting where much runs at once
LEASE_SECONDS = 120  # its default
POLL_SECONDS = 0.25  # its default
DAY = 86400
BUSY_STEPS, STEPS_ELSEWHERE = 10_000, 3
LOOK_SECONDS = 0.0005
SLEEPING = "select count(*) from absurd.t_bench where state = 'sleeping' and params ->> 'prefix' = %s"
moments, sent, worked = Moments(), dict[str, int](), Counter[str]()
gates: dict[str, Gate] = {}


async def same(number: int) -> dict[str, Any]:
    return record(number)


async def moment(name: str) -> float:
    return moments.note(name)


async def work(name: str) -> float:
    begun = moments.note(name)
    worked[name] += 1
    await asyncio.sleep(WORK_SECONDS)
    return begun


async def short(params: dict[str, Any], context: AsyncTaskContext) -> int:
    await context.step("same", partial(same, 1))
    return 1


async def gated(params: dict[str, Any], context: AsyncTaskContext) -> int:
    gate = gates[params["prefix"]]
    await gate.passed()
    for number in range(gate.length):
        await context.step("same", partial(same, number))
    gate.done()
    return 1


async def waiter(params: dict[str, Any], context: AsyncTaskContext) -> int:
    for number in range(params["steps"]):
        await context.step("same", partial(same, number))
    for number in range(1, params["rounds"] + 1):
        name = f"{params['name']}/{number}"
        await context.await_event(name, timeout=DAY)
        await context.step("moment", partial(moment, name))
    return 1


async def busy(params: dict[str, Any], context: AsyncTaskContext) -> int:
    """Endless where it was spawned; elsewhere it ends soon, for a worker claims again only once its batch has ended."""
    most = BUSY_STEPS if params["host"] == given()["name"] else STEPS_ELSEWHERE
    while worked[params["name"]] < most:
        await context.step("work", partial(work, params["name"]))
    return 1


class Client:
    """What both roles have: a client on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = _absurd(url)

    async def do_send(self, name: str) -> dict[str, float]:
        """Emit the event that a task waits for next; when the call began and returned."""
        sent[name] = number = sent.get(name, 0) + 1
        await asyncio.sleep(random.uniform(0, POLL_SECONDS))
        begun = time.monotonic()
        await self._client.emit_event(f"{name}/{number}", {})
        return {"called": begun, "returned": time.monotonic()}

    async def do_starts(self, prefix: str, count: int) -> dict[str, list[float]]:
        """Milliseconds from the start of a task of one step to its result, one after the other."""
        times = []
        for _ in range(count):
            await asyncio.sleep(random.uniform(0, POLL_SECONDS))  # not always right after the worker has looked
            begun = time.monotonic()
            task = (await self._client.spawn("short", {}))["task_id"]
            while not await self._completed(task):  # noqa: ASYNC110  (another process completes it)
                await asyncio.sleep(LOOK_SECONDS)
            times.append((time.monotonic() - begun) * 1000)
        return {"ms": times}

    async def _completed(self, task: str) -> bool:
        found = await self._client.fetch_task_result(task)
        return found is not None and found.state == "completed"

    async def _spawn(self, kind: str, prefix: str, missions: int, **more: Any) -> list[str]:
        names = [f"{prefix}-{number}" for number in range(missions)]
        for name in names:
            await self._client.spawn(kind, {"prefix": prefix, "name": name, **more})
        return names


class Host(Client):
    """Runs workers while a request needs them, or from `do_serve` on."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._serving = contextlib.AsyncExitStack()

    async def do_serve(self, concurrency: int, lease: int = LEASE_SECONDS) -> dict[str, Any]:
        """Run workers until the process ends; each takes as many, for a worker polls again only after its batch."""
        await self._serving.enter_async_context(self._workers(concurrency, lease, room=concurrency))
        return {}

    async def do_steps(self, prefix: str, missions: int, length: int) -> dict[str, float]:
        """Steps a second of tasks side by side."""
        gates[prefix] = gate = Gate(missions, length)
        await self._spawn("gated", prefix, missions)
        async with self._workers(missions):
            return await gate.timed()

    async def do_park(self, prefix: str, missions: int, steps: int, rounds: int) -> dict[str, list[str]]:
        """Tasks that have done their steps and wait; their names. `do_serve` comes first."""
        names = await self._spawn("waiter", prefix, missions, steps=steps, rounds=rounds)
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            end = time.monotonic() + PATIENCE
            while (await (await connection.execute(SLEEPING, [prefix])).fetchone() or (0,))[0] < missions:
                if time.monotonic() > end:
                    raise TimeoutError("not all sleep")
                await asyncio.sleep(0.1)
        return {"names": names}

    async def do_busy(self, prefix: str, missions: int) -> dict[str, list[str]]:
        """Tasks to be under way once `do_serve` has come; their names."""
        return {"names": await self._spawn("busy", prefix, missions, host=given()["name"])}

    async def do_woke(self, names: list[str]) -> dict[str, list[float]]:
        """When the steps of these names began here."""
        return {"at": await moments.all(names)}

    @contextlib.asynccontextmanager
    async def _workers(self, concurrency: int, lease: int = LEASE_SECONDS, room: int = 0) -> Any:
        count = min(MOST_CONNECTIONS, concurrency)
        workers = [_absurd(self._url) for _ in range(count)]
        room = room or -(-concurrency // count)
        running = [asyncio.create_task(one.start_worker(concurrency=room, claim_timeout=lease)) for one in workers]
        try:
            yield
        finally:
            for one in workers:
                one.stop_worker()
            await asyncio.gather(*running)
            for one in workers:
                await one.close()


def _absurd(url: str) -> AsyncAbsurd:
    client = AsyncAbsurd(url, queue_name=QUEUE)
    for name, task in (("short", short), ("gated", gated), ("waiter", waiter), ("busy", busy)):
        client.register_task(name)(task)
    return client


async def make() -> Client:
    """What the process was started as."""
    facts = given()
    if facts["role"] == "sender":
        return Client(facts["url"])
    client = _absurd(facts["url"])
    if QUEUE not in await client.list_queues():
        await client.create_queue(QUEUE)
    await client.close()
    return Host(facts["url"])


if __name__ == "__main__":
    serve(make)
