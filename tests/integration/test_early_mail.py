"""Mail that comes while its mission is being claimed: nobody runs it yet, and it hears of that mail all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from missions.authoring import Context, Verdict
from missions.engine import claims, controls, worker
from missions.engine.delivery import Delivery
from missions.engine.mailbox import deliver
from missions.models import Mission
from tests import live_worker
from tests.corners import begin, define

pytestmark = pytest.mark.django_db(transaction=True)




def sent_while_claimed(monkeypatch: pytest.MonkeyPatch, send: Any) -> None:
    """Have this sent, and its hint heard, when the database has given the first mission and it does not run yet."""
    heard, left = asyncio.Event(), [send]
    look = Delivery.look

    async def claim(*args: Any) -> Any:
        brought = await claims.claim(*args)
        if brought.missions and left:
            heard.clear()
            await asyncio.to_thread(left.pop(), brought.missions[0].id)
            await asyncio.wait_for(heard.wait(), live_worker.PATIENCE)
        return brought

    def noted(delivery: Delivery, lane: Any) -> None:
        look(delivery, lane)
        heard.set()

    monkeypatch.setattr(worker, "claim", claim)
    monkeypatch.setattr(Delivery, "look", noted)


async def waits_beside_a_long_step(m: Context, request: dict[str, Any]) -> Verdict:
    index, _ = await m.wait_any(m.wait_for_signal("go"), m.step("long", begun_at_last))
    return Verdict("heard" if index == 0 else "late")


async def begun_at_last() -> None:
    """Took its time."""
    await asyncio.sleep(2 * live_worker.PATIENCE)


def test_signal_that_comes_while_its_mission_is_claimed_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    sent_while_claimed(monkeypatch, lambda mission_id: deliver(mission_id, "go", {}))
    run = begin(define("early-signal", waits_beside_a_long_step))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.outcome.verdict == "heard"


def test_control_that_comes_while_its_mission_is_claimed_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(mission_id: int) -> None:
        controls.request(mission_id, "cancel", reason="No more.", by="olivia")

    sent_while_claimed(monkeypatch, cancel)
    run: Mission = begin(define("early-control", waits_beside_a_long_step))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.state == "cancelled"
