"""The refund mission: from a customer's request to money sent back, once.

Fetches the order and its payments, checks what they cover, and asks for the refund; policy decides who must approve.
Refuses, with a verdict, what the order does not cover. Holds no state of its own and knows no policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from missions.authoring import Context, Verdict, mission
from missions.errors import ToolFailed

AMOUNT_SCHEMA = {
    "type": "string", "format": "decimal", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,2})?$", "title": "Amount",
    "description": "More than zero, with up to two decimals, like 120.50.",
}
SIGNS = {"payment": 1, "reversal": 1, "refund": -1}  # what a posting adds to what can be refunded
BUSINESS = ("unknown_order", "not_covered")  # refusals of the payment server that say something of the order


class RefundRequest(BaseModel):
    """What a refund mission is started with."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    order_id: str = Field(pattern=r"^[A-Z]{2,10}-[0-9]{1,12}$", title="Order", examples=["ORD-1001"])
    amount: Annotated[Decimal, Field(gt=0, max_digits=11, decimal_places=2), WithJsonSchema(AMOUNT_SCHEMA)]
    reason: str = Field(min_length=1, max_length=500, title="Reason")
    customer_note: str | None = Field(default=None, max_length=2000, title="Customer's note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What an order covers, against what is asked. Amounts are decimal strings."""

    covered: bool
    amount: str
    refundable: str
    currency: str
    why: str


def check_coverage(order: dict[str, Any], history: dict[str, Any], asked: Decimal) -> Coverage:
    """Checked the refund against what the order covers."""
    posted = sum((SIGNS[item["kind"]] * Decimal(item["amount"]) for item in history["payments"]), Decimal(0))
    refundable = max(min(posted, Decimal(order["refundable"])), Decimal(0))
    left = f"{refundable:.2f} {order['currency']}"
    covered = asked <= refundable
    why = f"{order['id']} covers a refund of up to {left}."
    return Coverage(
        covered=covered, amount=f"{asked:.2f}", refundable=f"{refundable:.2f}", currency=order["currency"],
        why=why if covered else f"{why} {asked:.2f} was asked for.",
    )


@mission("refund", version=1, title="Customer refund")
async def refund(m: Context, request: RefundRequest) -> Verdict:
    """Refund a customer what the order covers, once, with the approvals that policy asks for."""
    try:
        order = await m.tool("orders.get", order_id=request.order_id)
        history = await m.tool("payments.history", order_id=request.order_id)
        coverage = await m.step("check-coverage", check_coverage, order, history, request.amount)
        if not coverage.covered:
            return _refused(coverage.why, request)
        receipt = await m.tool(
            "payments.refund", order_id=request.order_id, amount=coverage.amount, reason=request.reason
        )
    except ToolFailed as error:
        if error.facts.get("code") not in BUSINESS:  # else we sent something wrong, which is no verdict
            raise
        return _refused(str(error), request)
    # People may have approved another amount. Where only a person could say that it happened, there is no amount in it.
    paid, currency = receipt.get("amount", coverage.amount), receipt.get("currency", coverage.currency)
    summary = f"Refunded {paid} {currency} for order {receipt.get('order_id', request.order_id)}."
    return Verdict("refunded", summary=summary, data={"receipt": receipt})


def _refused(why: str, request: RefundRequest) -> Verdict:
    return Verdict("refused", summary=why, data={"order_id": request.order_id, "amount": f"{request.amount:.2f}"})
