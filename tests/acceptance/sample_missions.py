"""Missions that only tests run; workers get them through MISSIONS_MODULES.

Each step logs that it ran and under which attempt, so that a test can tell that no recorded step ran again.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from typing import Any

from pydantic import BaseModel

from missions.authoring import Context, ToolCall, Verdict, mission, tool

logger = logging.getLogger(__name__)
RAN = "sample step ran"
_attempt: contextvars.ContextVar[str] = contextvars.ContextVar("attempt")


class Weave(BaseModel):
    """How large, and how slow."""

    strands: int = 4
    rounds: int = 3
    step_seconds: float = 0.05
    sleep_seconds: float = 0.2


def _enter(m: Context) -> None:
    """Note the attempt for the log; `missions.authoring` does not tell it, since missions must not depend on it."""
    _attempt.set(f"{m.mission_id} {m._run.claimed.attempt}")


async def spin(strand: int, round: int, seconds: float) -> int:
    """Spin one length of yarn."""
    await asyncio.sleep(seconds)
    logger.info(f"{RAN}: {_attempt.get()} {strand}/{round}")
    return strand * 100 + round


def trudge(number: int, seconds: float) -> int:
    """Take one step in a thread."""
    time.sleep(seconds)
    return number


async def _strand(m: Context, request: Weave, strand: int) -> list[Any]:
    """Steps, sleeps and signals, over and over; each strand in another order."""
    woven: list[Any] = []
    for round in range(request.rounds):
        woven.append(await m.step(f"spin-{round}", spin, strand, round, request.step_seconds))
        if (strand + round) % 2:
            await m.sleep(request.sleep_seconds)
        colour = await m.wait_for_signal(f"colour-{strand}", timeout=3600)
        woven.append(colour and colour["name"])
    return woven


async def _pair(m: Context, number: int) -> list[Any]:
    return await m.gather(m.step("spin", spin, number, 90, 0.02), m.step("spin", spin, number, 91, 0.0))


@mission("test.weave", version=1, title="Weave")
async def weave(m: Context, request: Weave) -> Verdict:
    """Strands side by side, a wait that times out, then strands inside strands."""
    _enter(m)
    first = await m.gather(*(_strand(m, request, strand) for strand in range(request.strands)))
    missing = await m.wait_for_signal("never", timeout=request.sleep_seconds)
    second = await m.gather(*(_pair(m, number) for number in range(2)))
    await m.observe("All strands are woven.")
    return Verdict("woven", data={"first": first, "missing": missing, "second": second})


class Plod(BaseModel):
    """How many steps, and how long each takes."""

    steps: int
    step_seconds: float


@mission("test.plod", version=1, title="Plod")
async def plod(m: Context, request: Plod) -> Verdict:
    """One step after the other, in threads."""
    done = [await m.step("trudge", trudge, number, request.step_seconds) for number in range(request.steps)]
    return Verdict("plodded", data={"done": done})


class Listen(BaseModel):
    """For how many signals to wait."""

    signals: int


@mission("test.listen", version=1, title="Listen")
async def listen(m: Context, request: Listen) -> Verdict:
    """Wait for one signal after the other, and park in between."""
    heard = [await m.wait_for_signal("tick", timeout=3600) for _ in range(request.signals)]
    return Verdict("heard", data={"heard": [signal and signal["number"] for signal in heard]})


@tool(name="sample.turnstile", effect="read")
async def turnstile(call: ToolCall, seconds: float) -> bool:
    """Stand in the turnstile"""
    logger.info(f"turnstile in: {call.mission_id}")
    await asyncio.sleep(seconds)
    logger.info(f"turnstile out: {call.mission_id}")
    return True


class Pass(BaseModel):
    """How long to stand in it."""

    seconds: float


@mission("test.pass", version=1, title="Pass")
async def pass_through(m: Context, request: Pass) -> Verdict:
    """Pass through the turnstile, where one at a time fits."""
    await m.tool("sample.turnstile", seconds=request.seconds)
    return Verdict("passed")
