"""A mission for workers of their own process: pays three times, into a file that every worker can read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from missions.authoring import Context, ToolCall, Verdict, mission, tool

FILE = "STANDFAST_TEST_BUDGETED"  # where the other side keeps what it was told
TYPE, PAYMENTS = "test.budgeted", 3


def posted() -> list[str]:
    """The keys that came, each as often as it came."""
    file = Path(os.environ[FILE])
    return file.read_text().split() if file.exists() else []


@tool(name="corner.till", effect="write", retry_safety="keyed", cost="amount")
async def pay(call: ToolCall, amount: str, currency: str) -> int:
    """Pay from the till"""
    with Path(os.environ[FILE]).open("a") as file:
        file.write(f"{call.idempotency_key}\n")
    return len(posted())


@mission(TYPE)
async def budgeted(m: Context, request: dict[str, Any]) -> Verdict:
    """Pay three times."""
    for _ in range(PAYMENTS):
        await m.tool("corner.till", amount="10.00", currency="GBP")
    return Verdict("paid")
