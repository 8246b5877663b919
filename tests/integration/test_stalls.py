"""Missions that wait for what no durable call brings are paused with the line that waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from missions.authoring import Context
from missions.engine import history
from missions.engine.mailbox import deliver
from tests import live_worker
from tests.corners import begin, define

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _soon(settings: Any) -> None:
    settings.MISSIONS_STALL_SECONDS = 0.4


async def long() -> str:
    """Took longer than a stall may."""
    await asyncio.sleep(1.0)
    return "long"


async def fetch(m: Context, ready: asyncio.Event) -> None:
    await m.wait_for_signal("fetched")
    ready.set()


async def use(m: Context, ready: asyncio.Event) -> None:
    await ready.wait()
    await m.step("long", long)


def test_branch_that_waits_for_an_event_of_another_is_paused_with_its_line() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        ready = asyncio.Event()
        await m.gather(fetch(m, ready), use(m, ready))

    run = begin(define("stalled", body))
    with live_worker.worker():
        live_worker.wait_until(run, lambda now: now.state == "paused")
    detail = history.entries(run.pk)[-1].payload["detail"]
    assert run.reason == "stalled" and run.owner is None
    assert "test_stalls.py, line" in detail and "in use: await ready.wait()" in detail and "fetch" not in detail


def test_mission_that_waits_for_a_queue_in_its_first_branch_is_paused() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        await queue.get()

    run = begin(define("queue", body))
    with live_worker.worker():
        live_worker.wait_until(run, lambda now: now.state == "paused")
    assert "await queue.get()" in history.entries(run.pk)[-1].payload["detail"]


def test_branch_that_stalls_the_replay_is_paused_too() -> None:
    waits = False

    async def body(m: Context, request: dict[str, Any]) -> None:
        await m.wait_for_signal("go")
        if waits:
            await asyncio.Event().wait()
        await m.wait_for_signal("more")
        await m.wait_for_signal("never")

    run = begin(define("stalled-replay", body))
    with live_worker.worker():
        deliver(run.pk, "go", {})
        live_worker.parked(run, "signal:more")
        waits = True
        deliver(run.pk, "more", {})
        live_worker.wait_until(run, lambda now: now.state == "paused")
    assert run.reason == "stalled"


def test_long_step_beside_a_branch_that_waits_is_no_stall() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        ready = asyncio.Event()

        async def first() -> None:
            await m.step("long", long)
            ready.set()

        await m.gather(first(), use(m, ready))

    run = begin(define("busy", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.state == "completed"
