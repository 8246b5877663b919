"""The side of a peer's process: takes requests from its standard input, and gives one line of JSON for each.

Runs in `.venv-peers`: it may import the standard library only. A request is `{"do": NAME, ...}` and is answered by the
side's method `do_NAME`; the answer is `{"answer": {...}}`, or `{"failed": TEXT}`. What the peer prints goes to its log.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

LOOK_SECONDS = 0.002
PATIENCE = 60.0  # seconds; a machine that others use too may be slow
WORK_SECONDS = 0.05
LINE_BYTES = 1 << 24


def record(number: int) -> dict[str, Any]:
    """What every step of every compared system returns: some 200 bytes of JSON."""
    return {"ok": True, "text": "x" * 160, "number": number}


class Moments:
    """When things began in this process, on the machine's monotonic clock."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def note(self, name: str) -> float:
        """Now; kept where it is the first time."""
        return self._seen.setdefault(name, time.monotonic())

    def keep(self, name: str, moment: float) -> None:
        """A moment that was measured elsewhere."""
        self._seen[name] = moment

    async def all(self, names: list[str]) -> list[float]:
        """The moments of all of them, once they are there. Raises TimeoutError."""
        await until(lambda: all(name in self._seen for name in names), f"all of {names[:3]}… begin")
        return [self._seen[name] for name in names]


class Gate:
    """Lets missions begin together, and times them from there: starts and ends are not in the figure, steps alone.

    `done` is called by each mission after its last step.
    """

    def __init__(self, missions: int, length: int) -> None:
        self.missions, self.length = missions, length
        self._open, self._over = asyncio.Event(), asyncio.Event()
        self._arrived = self._done = 0

    async def passed(self) -> None:
        """Wait with the others."""
        self._arrived += 1
        await self._open.wait()

    def done(self) -> None:
        """One mission has done its steps."""
        self._done += 1
        if self._done == self.missions:
            self._over.set()

    async def timed(self) -> dict[str, float]:
        """Open once all have come; steps a second, and microseconds of this process's CPU time a step."""
        await until(lambda: self._arrived == self.missions, "all missions have begun")
        begun, before = time.monotonic(), cpu_seconds()
        self._open.set()
        await asyncio.wait_for(self._over.wait(), PATIENCE)
        seconds, used = time.monotonic() - begun, cpu_seconds() - before
        steps = self.missions * self.length
        return {"rate": steps / seconds, "cpu": used / steps * 1_000_000}


def cpu_seconds() -> float:
    """CPU time of all threads of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def until(condition: Callable[[], bool], what: str) -> None:
    """Look again and again until it is so. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not so after {PATIENCE:g} s: {what}")
        await asyncio.sleep(LOOK_SECONDS)


async def at_most(limit: int, calls: list[Callable[[], Awaitable[Any]]]) -> None:
    """Make all calls, so many at a time."""
    room = asyncio.Semaphore(limit)

    async def one(call: Callable[[], Awaitable[Any]]) -> None:
        async with room:
            await call()

    await asyncio.gather(*(one(call) for call in calls))


def given() -> dict[str, str]:
    """What the process was started with: `url`, `role`, `name`."""
    facts: dict[str, str] = json.loads(sys.argv[1])
    return facts


def serve(make: Callable[[], Awaitable[Any]]) -> None:
    """Make the side, then answer until the standard input ends; leaves at once, whatever threads still run."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a peer that prints does not spoil the answers
    try:
        asyncio.run(_serve(make, answers.write))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


async def _serve(make: Callable[[], Awaitable[Any]], say: Callable[[str], Any]) -> None:
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    side = await make()
    say(json.dumps({"answer": {}}) + "\n")
    while line := await reader.readline():
        say(json.dumps(await _answer(side, json.loads(line))) + "\n")


async def _answer(side: Any, request: dict[str, Any]) -> dict[str, Any]:
    method = getattr(side, f"do_{request.pop('do')}")
    try:
        return {"answer": await method(**request)}
    except Exception:  # told to whoever asked, who decides
        return {"failed": traceback.format_exc()}
