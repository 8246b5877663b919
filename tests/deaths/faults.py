"""What happens at a named await: nothing, a note that it was reached, or the fault that waits there, once.

Knows nothing of the engine but where a worker's sessions are: `hurt` is told by whoever starts one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
from django.db import utils

from tests.deaths import naming


class Harm(StrEnum):
    """What can happen at an await."""

    BEFORE = "dies before"  # SIGKILL; what is awaited has not begun
    AFTER = "dies after"  # SIGKILL; what is awaited has come to its end
    LOST = "loses its sessions"  # the sockets of lane, aux and ring are shut
    CANCELLED = "is cancelled"
    AWAY = "has no database"  # OperationalError
    LATE = "times out"  # TimeoutError


DEADLY = (Harm.BEFORE, Harm.AFTER)


@dataclass(frozen=True, slots=True)
class Fault:
    """A harm that waits at a name, for an arrival there."""

    name: str
    harm: Harm
    arrival: int = 1

    def __str__(self) -> str:
        return f"{self.harm} at {self.name}" + (f" ({self.arrival})" if self.arrival > 1 else "")


waiting: deque[Fault] = deque()  # one after the other
arrivals: Counter[str] = Counter()
trace = -1  # a descriptor that is told of each arrival, where it is open
sessions: Callable[[], list[int]] = list  # the sockets of the worker that runs here
unguarded: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext  # an author may not do this
STRUCK = "! "


def told(words: str) -> None:
    """Write a line, at once and whole: the process may be gone after it."""
    if trace >= 0:
        os.write(trace, f"{words}\n".encode())


def _strikes(name: str) -> Fault | None:
    told(name)
    if not waiting or waiting[0].name != name:
        return None
    arrivals[name] += 1
    if arrivals[name] < waiting[0].arrival:
        return None
    told(f"{STRUCK}{name}")
    return waiting.popleft()


def awaited(name: str, work: Awaitable[Any]) -> Awaitable[Any]:
    """What is awaited at this name; itself, unless a fault waits here."""
    fault = _strikes(name)
    return work if fault is None else _hurt(fault, work)


async def _hurt(fault: Fault, work: Awaitable[Any]) -> Any:
    match fault.harm:
        case Harm.BEFORE:
            _die()
        case Harm.LOST:
            _cut()
        case Harm.CANCELLED:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        case Harm.AWAY | Harm.LATE:
            if isinstance(work, Coroutine):
                work.close()
            raise _error(fault)
    try:
        return await work
    finally:
        if fault.harm is Harm.AFTER:
            _die()


def _error(fault: Fault) -> Exception:
    if fault.harm is Harm.LATE:
        return TimeoutError("the test lets it time out")
    of_django = "run_in_executor" in fault.name
    return (utils.OperationalError if of_django else psycopg.OperationalError)("the test takes the database away")


def _die() -> None:
    with unguarded():
        os.kill(os.getpid(), signal.SIGKILL)


def _cut() -> None:
    with unguarded():
        for number in sessions():
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as end:
                end.shutdown(socket.SHUT_RDWR)


class Entered:
    """An asynchronous context manager under a name."""

    def __init__(self, name: str, manager: Any) -> None:
        self._name, self._manager = name, manager

    async def __aenter__(self) -> Any:
        return await awaited(f"{self._name}:{naming.BEGIN}", self._manager.__aenter__())

    async def __aexit__(self, *error: Any) -> Any:
        return await awaited(f"{self._name}:{naming.END}", self._manager.__aexit__(*error))


async def iterated(name: str, items: Any) -> AsyncIterator[Any]:
    """An asynchronous iterator under a name; the fault comes before its first item."""
    async for item in items:
        await awaited(name, asyncio.sleep(0))
        yield item


# -- What may happen where ---------------------------------------------------------------------------------------------
OF_DATABASE = ("lane.call", "aux.call", "ring.call", "session.call", "self.call", "run_in_executor", "to_thread",
               "_look", "_connect")  # fmt: skip
MAY_BE_LATE = ("wait_for", "async with asyncio.timeout", "spec.probe", "work if silence is None")  # fmt: skip


def harms(name: str) -> list[Harm]:
    """What may happen at a name. Errors are raised where they come from: further out they arrive by themselves."""
    found = [Harm.BEFORE, Harm.AFTER, Harm.LOST, Harm.CANCELLED]
    what = name.split(":", 2)[2]
    if any(part in what for part in OF_DATABASE):
        found.append(Harm.AWAY)
    if any(part in what for part in MAY_BE_LATE):
        found.append(Harm.LATE)
    return found


__all__ = ["Entered", "Fault", "Harm", "awaited", "harms", "iterated", "told"]
