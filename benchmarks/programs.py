"""The missions that the workloads run.

Steps return `time.monotonic()`, which all processes of one machine share: so the journal tells when a step began.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from missions.authoring import Context, Verdict, mission

WORK_SECONDS = 0.05


async def same(number: int) -> int:
    """Give the number back."""
    return number


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


@mission("bench.wait", title="Wait for a signal")
async def wait(m: Context, given: dict[str, Any]) -> Verdict:
    """Park at once."""
    await m.wait_for_signal("go")
    return Verdict("done")


@mission("bench.resume", title="A long history, then waits")
async def resume(m: Context, given: dict[str, Any]) -> Verdict:
    """Do `steps` steps, then say after each of `rounds` signals when it went on."""
    for number in range(given["steps"]):
        await m.step("same", same, number)
    for _ in range(given["rounds"]):
        await m.wait_for_signal("go")
        await m.step("moment", moment)
    return Verdict("done")
