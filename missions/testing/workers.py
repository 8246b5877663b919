"""A real mission worker in a thread of this process, on the database that Django uses; and waiting for missions.

Waiting listens to the hints that workers send, so nobody sleeps. A worker that runs here is guarded like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
from django.db import connections

from missions.agents.running import warm
from missions.context import Context
from missions.engine import feed, guarded_events, history
from missions.engine.clock import database_now
from missions.engine.dsn import conninfo
from missions.engine.process import Worker
from missions.llm import chain
from missions.models import Mission

PATIENCE = 20.0  # seconds until waiting is given up
AFTERWARDS = 5.0  # seconds for what an end brings about: alarms are rung after it
MakeWorker = Callable[[], Worker]


@contextlib.contextmanager
def worker(concurrency: int = 100, make: MakeWorker | None = None) -> Iterator[Worker]:
    """A worker that runs until the block ends, and is drained then. Raises AssertionError if it does not drain."""
    guarded_events.install()
    warm()
    ready = threading.Event()
    held: list[tuple[asyncio.AbstractEventLoop, Worker]] = []

    async def serve() -> None:
        held.append((asyncio.get_running_loop(), make() if make else Worker(Context, concurrency)))
        ready.set()
        try:
            await held[0][1].run()
        finally:
            await chain.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(PATIENCE)
    loop, running = held[0]
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(running.stop)
        thread.join(PATIENCE)
        running.settle()
        connections["default"].close()
        assert not thread.is_alive(), "the worker did not drain"


def wait_until(mission: Mission, holds: Callable[[Mission], bool]) -> Mission:
    """The mission, read again once the condition holds. Raises AssertionError with its journal if it never does."""
    until, is_over = time.monotonic() + PATIENCE, False
    with psycopg.connect(conninfo("standfast test"), autocommit=True) as listener:
        listener.execute(f"listen {feed.FEED}")
        while True:
            mission.refresh_from_db()
            if holds(mission):
                return mission
            over = mission.ended and mission.owner is None and mission.control_seq <= mission.control_done
            if over and not is_over:
                until = min(until, time.monotonic() + AFTERWARDS)
            is_over, left = over, until - time.monotonic()
            assert left > 0, f"it is {mission.state}: {story(mission)}"
            for _ in listener.notifies(timeout=min(left, 0.5), stop_after=1):
                pass


def ended(mission: Mission) -> Mission:
    """The mission once it has ended."""
    return wait_until(mission, lambda now: now.ended)


def is_parked(mission: Mission) -> bool:
    """Whether it has left memory without having ended, and nobody is about to go on with it."""
    if mission.owner is not None or mission.state not in ("waiting", "sleeping"):
        return mission.owner is None and mission.state == "paused"
    return mission.wake_at is None or mission.wake_at > database_now()


def parked(mission: Mission, waits_for: str = "") -> Mission:
    """The mission once it is parked and waits for this (a prefix)."""
    return wait_until(mission, lambda now: is_parked(now) and now.waits_for.startswith(waits_for))


def story(mission: Mission) -> str:
    """What somebody whose mission stands still needs to know: what it waits for, and its journal."""
    lines = [f"{entry.seq} {entry.kind} {entry.path} {entry.payload}" for entry in history.entries(mission.pk)]
    return "\n".join([f"waits for {mission.waits_for!r} at {mission.step} {mission.reason}", *lines])
