"""What the missions of both releases are made of."""

from __future__ import annotations

from pydantic import BaseModel

from missions.authoring import Context


class Round(BaseModel):
    """Which order to pay on, in how many rounds, and how long to rest between two of them."""

    order_id: str
    rounds: int
    rest_seconds: float


def pick(number: int) -> int:
    """Picked an item."""
    return number


async def deliver(m: Context, request: Round, number: int) -> str:
    """Pick, pay and rest; the payment's reference."""
    cents = await m.step("pick", pick, number + 1)
    receipt = await m.tool("payments.refund", order_id=request.order_id, amount=f"0.{cents:02}")
    await m.sleep(request.rest_seconds)
    return str(receipt["reference"])
