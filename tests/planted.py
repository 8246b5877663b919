"""Missions for the crash test: one that is clean, and one for each fault that it must find."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import Any

from missions.authoring import Context, ToolCall, Verdict, mission
from missions.testing import Ledger

bank = Ledger("planted bank")
numbers = itertools.count(1)
Given = dict[str, Any]


def _receipt(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return {"amount": amount, "key": call.idempotency_key}


bank.tool("planted.keyed", retry_safety="keyed")(_receipt)
bank.tool("planted.verifiable", retry_safety="verifiable", timeout=5)(_receipt)
bank.tool("planted.manual", retry_safety="manual")(_receipt)
bank.tool("planted.ignores", retry_safety="keyed", ignores_keys=True)(_receipt)
bank.tool("planted.reads", retry_safety="manual", effect="read")(_receipt)


@bank.tool("planted.counts", retry_safety="keyed", ignores_keys=True)
def _another(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return {"number": next(numbers)}


async def double(amount: int) -> int:
    """Doubled the amount."""
    return amount * 2


def halve(amount: int) -> int:
    """Halved the amount."""
    return amount // 2


@mission("planted.clean")
async def clean(m: Context, given: Given) -> Verdict:
    """Everything that a mission may do, as it may do it."""
    now, amounts = await m.now(), []
    for tool in ("keyed", "verifiable", "manual"):
        receipt = await m.tool(f"planted.{tool}", amount=await m.step("double", double, len(tool)))
        amounts.append(receipt.get("amount"))  # a person who says that it happened gives no more than a reference
    for number in range(6):
        amounts.append(await m.step("halve", halve, number))
    pair = await m.gather(m.step("halve", halve, 8), m.step("double", double, 8), m.sleep(3600))
    signal = await m.wait_for_signal("go", timeout=60)
    data = {"amounts": amounts, "pair": pair, "at": now.isoformat(), "id": str(m.uuid()), "signal": signal}
    return Verdict("paid", data=data)


@mission("planted.diverges")
async def diverges(m: Context, given: Given) -> None:
    """Asks for other steps when it runs again: what it does hangs on what ran in this process."""
    ran: list[int] = []

    async def run() -> None:
        ran.append(1)

    await m.step("first", run)
    await m.step("with" if ran else "without", double, 1)


@mission("planted.repeats")
async def repeats(m: Context, given: Given) -> None:
    """Its tool says that it reads, and pays."""
    await m.tool("planted.reads", amount=1)


@mission("planted.differs")
async def differs(m: Context, given: Given) -> Verdict:
    """Its verdict counts the steps that ran in this process."""
    ran: list[int] = []

    async def run() -> None:
        ran.append(1)

    for _ in range(3):
        await m.step("count", run)
    return Verdict("counted", data={"ran": len(ran)})


@mission("planted.random")
async def rolls(m: Context, given: Given) -> Verdict:
    """Rolls a die."""
    return Verdict("rolled", data={"eyes": random.randint(1, 6)})


@mission("planted.hidden")
async def hidden(m: Context, given: Given) -> Verdict:
    """Takes a number that changes from run to run, where no guard can see it."""
    await m.step("double", double, 1)
    return Verdict("rolled", data={"number": next(numbers)})


@mission("planted.clock")
async def reads_clock(m: Context, given: Given) -> Verdict:
    """Reads the clock."""
    await m.step("double", double, 1)
    return Verdict("late" if time.time() > 1 else "early")


@mission("planted.effect")
async def acts(m: Context, given: Given) -> None:
    """Pays in a step."""
    await m.step("pay", _pay_past_the_gate)


async def _pay_past_the_gate() -> None:
    bank.post("1", amount=1)


@mission("planted.retry")
async def pays(m: Context, given: Given) -> None:
    """Pays by a tool that does not keep what it declares."""
    await m.tool(given["tool"], amount=1)


@mission("planted.task")
async def tasks(m: Context, given: Given) -> None:
    """Runs steps in tasks of its own."""
    await asyncio.gather(m.step("double", double, 1), m.step("double", double, 2))


@mission("planted.order")
async def orders(m: Context, given: Given) -> Verdict:
    """Two branches, and time decides which comes first."""
    came: list[str] = []

    async def waits() -> None:
        await asyncio.sleep(0.02)
        came.append("waits")
        await m.step(f"after-{len(came)}", double, 1)

    async def works() -> None:
        await m.step("works", slow)
        came.append("works")
        await m.step(f"after-{len(came)}", double, 2)

    await m.gather(waits(), works())
    return Verdict("ordered", data={"came": came})


async def slow() -> None:
    """Took its time."""
    await asyncio.sleep(0.1)


@mission("planted.waits")
async def waits(m: Context, given: Given) -> None:
    """Waits for a signal."""
    await m.wait_for_signal("go")
