"""Missions that pay, again and again; workers get them through MISSIONS_MODULES. `Allowed.yaml` of them is `POLICY`."""

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


async def pay(m: Context, request: Pay, cents: int) -> str:
    """One payment; its reference."""
    receipt = await m.tool(request.tool, order_id=request.order_id, amount=amount(cents))
    return str(receipt["reference"])


@mission("test.payer", version=1, title="Payer")
async def payer(m: Context, request: Pay) -> Verdict:
    """One payment after the other."""
    cents = range(request.first, request.first + request.count)
    return Verdict("paid", data={"references": [await pay(m, request, each) for each in cents]})
