"""Missions that pay, again and again; workers get them through MISSIONS_MODULES. `POLICY` allows it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from missions.authoring import Context, Verdict, mission

MODULE = "tests.acceptance.paying_missions"
POLICY: dict[str, Any] = {
    "name": "payers", "mode": "enforce",
    "rules": [{"name": "payers", "scope": {"mission_type": "test.*", "tool": "*payments.refund"}, "effect": "allow"}],
}


class Pay(BaseModel):
    """Which order, by which tool, from how many cents on, and how many payments, each a cent larger."""

    tool: str = "payments.refund"
    order_id: str
    first: int
    count: int


def amount(cents: int) -> str:
    """An amount as the payment server writes it."""
    return f"{cents // 100}.{cents % 100:02}"


async def pay(m: Context, order_id: str, cents: int, tool: str = "payments.refund") -> str:
    """One payment; its reference."""
    receipt = await m.tool(tool, order_id=order_id, amount=amount(cents))
    return str(receipt["reference"])


@mission("test.payer", version=1, title="Payer")
async def payer(m: Context, request: Pay) -> Verdict:
    """One payment after the other."""
    cents = range(request.first, request.first + request.count)
    return Verdict("paid", data={"references": [await pay(m, request.order_id, each, request.tool) for each in cents]})


class Errand(BaseModel):
    """Which order, and for how many seconds an answer is worth waiting for."""

    order_id: str
    patience_seconds: float


@mission("test.impatient", version=1, title="Impatient")
async def impatient(m: Context, request: Errand) -> Verdict:
    """Pay, wait for a word, look the order up within a time, and pay again; no answer in time is a failure."""
    first = await pay(m, request.order_id, 1)
    await m.wait_for_signal("go")
    await m.wait_for(m.tool("orders.get", order_id=request.order_id), timeout=request.patience_seconds)
    second = await pay(m, request.order_id, 2)
    return Verdict("paid", data={"references": [first, second]})


@mission("test.patient", version=1, title="Patient")
async def patient(m: Context, request: Errand) -> Verdict:
    """The same, for as long as it takes."""
    first = await pay(m, request.order_id, 1)
    await m.wait_for_signal("go")
    second = await pay(m, request.order_id, 2)
    return Verdict("paid", data={"references": [first, second]})
