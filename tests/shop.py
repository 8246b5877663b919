"""A shop whose refunds real missions ask for: two tools, one mission type, and the policies of the tests that use it.

What the other side knows of an order is a plain dictionary, which a test changes as somebody else would.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from approvals.models import Decision
from approvals.policies import document, versions
from missions.authoring import Context, Denied, ToolCall, Verdict, tool
from missions.engine import registry
from missions.engine.starting import start
from missions.models import Mission
from tests import live_worker

TYPE = "shop.refund"
ARGS = {"order_id": "ORD-1001", "amount": "900.00", "currency": "GBP", "customer": "A. Patel"}
SUPERVISOR = {"group": "supervisors", "quorum": 1, "sla": "4h"}
EVIDENCE = [{"source": "shop.order", "max_age": "1h", "revalidate": True}]
orders: dict[str, str] = {}  # what of each order was not refunded yet; another amount than 1500.00


@tool(name="shop.order", title="Look up the order")
async def order(call: ToolCall, order_id: str) -> dict[str, Any]:
    """Look up the order."""
    return {"id": order_id, "refundable": orders.get(order_id, "1500.00"), "currency": "GBP"}


@tool(
    name="shop.pay_back", title="Refund a customer", effect="write", retry_safety="keyed", key_ttl=3600,
    sentence="Refund {amount} {currency} to {customer}",
)
async def pay_back(
    call: ToolCall, order_id: str, amount: str, currency: str, customer: str, note: str = "",
    lines: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Pay money back."""
    return {"reference": "PAY-7"}


async def refund(m: Context, request: dict[str, Any]) -> Verdict:
    """Look at the order, where that is wanted, and pay back."""
    if request["looks"]:
        await m.tool("shop.order", order_id=request["args"]["order_id"])
    try:
        receipt = await m.tool("shop.pay_back", **request["args"])
    except Denied as denied:
        return Verdict("denied", summary=str(denied))
    return Verdict("refunded", summary="Refunded.", data=receipt)


registry.register(TYPE, 1, "A refund of the shop", refund)


def policy(*, when: str = "double(args.amount) > 100.0", evidence: bool = False, **tier: Any) -> None:
    """Put a policy in force that asks supervisors, or whom `tier` says."""
    rule: dict[str, Any] = {
        "name": "larger-refunds", "scope": {"tool": "shop.pay_back"}, "effect": "escalate", "when": when,
        "tiers": [{**SUPERVISOR, **tier}], "reason": "A refund over 100.00 is looked at by a person.",
    }  # fmt: skip
    if evidence:
        rule["evidence"] = EVIDENCE
    written = document.check({"name": "shop", "mode": "enforce", "rules": [rule]})
    versions.load(written, activate=True, via="test")


def begun(by: User, *, looks: bool = True, title: str = "Refund ORD-1001", **args: Any) -> Mission:
    """A mission that was started and that no worker has seen yet."""
    request = {"looks": looks, "args": {**ARGS, **args}}
    return start(TYPE, request, started_by=by, title=title, via="api")[0]


def asked(mission: Mission) -> Decision:
    """What the mission asks, once the running worker has brought it there and parked it."""
    live_worker.parked(mission, "decision:")
    return mission.decisions.get(state="open")


def asks(by: User, **options: Any) -> Decision:
    """What a new mission asks; its worker has gone by then."""
    mission = begun(by, **options)
    with live_worker.worker():
        return asked(mission)
