"""The missions that the workloads run.

Steps return `time.monotonic()`, which all processes of one machine share: so the journal tells when a step began.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from missions.authoring import Context, ToolCall, Verdict, mission, tool

WORK_SECONDS = 0.05
CHAPTER_STEPS = 100


class Order(BaseModel):
    """An input with types that JSON does not have."""

    number: int
    amount: Decimal
    day: dt.date
    words: str


async def same(number: int) -> dict[str, Any]:
    """What every step of every compared system returns: some 200 bytes of JSON."""
    return {"ok": True, "text": "x" * 160, "number": number}


async def same_typed(order: Order) -> dict[str, Any]:
    """The same for a typed input."""
    return await same(order.number)


async def moment() -> float:
    """When this step began, on the machine's monotonic clock."""
    return time.monotonic()


def _is_there(path: str) -> bool:
    return Path(path).exists()


async def work(number: int, until: str) -> dict[str, Any]:
    """Work for a moment; `more` is false once the file `until` is there."""
    begun = time.monotonic()
    await asyncio.sleep(WORK_SECONDS)
    return {"at": begun, "more": not _is_there(until)}


@mission("bench.steps", title="Steps one after the other")
async def steps(m: Context, given: dict[str, Any]) -> Verdict:
    """Do `steps` steps that do nothing."""
    for number in range(given["steps"]):
        await m.step("same", same, number)
    return Verdict("done")


@mission("bench.vote", title="One approval, then a step")
async def vote(m: Context, given: dict[str, Any]) -> Verdict:
    """Wait for a person, then say when that was over."""
    await m.approval("go-on", "Go on with the benchmark?")
    await m.step("moment", moment)
    return Verdict("done")


@mission("bench.busy", title="Work until told to stop")
async def busy(m: Context, given: dict[str, Any]) -> Verdict:
    """Do step after step until the file `until` is there."""
    number, more = 0, True
    while more:
        more = (await m.step("work", work, number, given["until"]))["more"]
        number += 1
    return Verdict("done")


@tool(name="bench.look", effect="read")
async def look(call: ToolCall) -> float:
    """Look at the clock for a moment."""
    begun = time.monotonic()
    await asyncio.sleep(WORK_SECONDS / 5)
    return begun


@tool(name="bench.moment", effect="read")
async def read_moment(call: ToolCall) -> float:
    """Look at the clock."""
    return time.monotonic()


@mission("bench.calls", title="Call a tool until told to stop")
async def calls(m: Context, given: dict[str, Any]) -> Verdict:
    """Call the tool again and again until the file `until` is there."""
    while not await m.step("enough", _is_there, given["until"]):
        await m.tool("bench.look")
    return Verdict("done")


@mission("bench.wait", title="Steps, then wait for a signal")
async def wait(m: Context, given: dict[str, Any]) -> Verdict:
    """Do `steps` steps and park; then say when that was over."""
    for number in range(given["steps"]):
        await m.step("same", same, number)
    await m.wait_for_signal("go")
    await m.step("moment", moment)
    return Verdict("done")


@mission("bench.resume", title="A long history, then waits")
async def resume(m: Context, given: dict[str, Any]) -> Verdict:
    """Do `steps` steps, then say after each of `rounds` signals when it went on."""
    for number in range(given["steps"]):
        await m.step("same", same, number)
    return await _answer(m, given["rounds"])


@mission("bench.resume_typed", title="A long history with typed inputs, then waits")
async def resume_typed(m: Context, given: dict[str, Any]) -> Verdict:
    """Like `bench.resume`; a model is the input of each step."""
    for number in range(given["steps"]):
        order = Order(number=number, amount=Decimal("740.00"), day=dt.date(2026, 1, 31), words="a refund")
        await m.step("same", same_typed, order)
    return await _answer(m, given["rounds"])


@mission("bench.resume_chapters", title="A long history in chapters, then waits")
async def resume_chapters(m: Context, given: dict[str, Any]) -> Verdict:
    """Like `bench.resume`; every `CHAPTER_STEPS` steps a new chapter begins."""
    done = given.get("done", 0)
    until = min(done + CHAPTER_STEPS, given["steps"])
    for number in range(done, until):
        await m.step("same", same, number)
    if until < given["steps"]:
        await m.continue_as({**given, "done": until})
    return await _answer(m, given["rounds"])


async def _answer(m: Context, rounds: int) -> Verdict:
    for _ in range(rounds):
        await m.wait_for_signal("go")
        await m.step("moment", moment)
    return Verdict("done")
