"""A task of the worker that is cancelled by nobody of ours: what it was to do is done, by a fresh incarnation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from missions.authoring import Context, Verdict
from missions.engine import controls
from missions.engine.mailbox import deliver
from missions.models import Takeover
from tests import live_worker
from tests.corners import begin, define

pytestmark = pytest.mark.django_db(transaction=True)


async def listen(m: Context, request: dict[str, Any]) -> Verdict:
    await m.wait_for_signal("go")
    return Verdict("heard")


def cancelled(running: Any, name: str) -> None:
    """Cancel the tasks of this name on the worker's loop, as nobody of ours does."""
    current = running.incarnation

    def cancel() -> None:
        found = [task for task in asyncio.all_tasks() if name in task.get_coro().__qualname__]  # type: ignore[union-attr]
        assert found
        for task in found:
            task.cancel()

    current._loop.call_soon_threadsafe(cancel)


@pytest.mark.parametrize("task", ["Witness.keep", "Liveness._beat", "Liveness._watch"])
def test_worker_that_lost_a_task_starts_over(task: str) -> None:
    name = define(f"lost-{task}", listen)
    with live_worker.worker() as running:
        run = live_worker.parked(begin(name), "signal:go")
        first = running.incarnation
        assert first is not None
        cancelled(running, task)
        deliver(run.pk, "go", {})
        live_worker.ended(run)
        live_worker.wait_until(run, lambda now: first.lost)


def test_control_whose_task_is_lost_is_carried_out_by_the_next_incarnation(monkeypatch: pytest.MonkeyPatch) -> None:
    name, made = define("lost-control", listen), Context.steer
    lost: list[int] = []

    async def lose_first(run: Any, control: Any) -> None:
        if not lost:
            lost.append(run.claimed.id)
            asyncio.current_task().cancel()  # type: ignore[union-attr]
            await asyncio.sleep(0)
        await made(run, control)

    with live_worker.worker() as running:
        run = live_worker.parked(begin(name), "signal:go")
        monkeypatch.setattr(Context, "steer", staticmethod(lose_first))
        controls.request(run.pk, "cancel", by="olivia")
        live_worker.ended(run)
        assert running.incarnation is not None
    assert run.state == "cancelled" and lost == [run.pk]
    assert Takeover.objects.filter(mission_id=run.pk).exists()
