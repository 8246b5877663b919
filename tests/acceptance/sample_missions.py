"""Missions that only tests run; workers get them through MISSIONS_MODULES.

Each step logs that it ran and under which attempt, so that a test can tell that no recorded step ran again.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from missions.authoring import Checkpoint, Context, StepCall, ToolCall, Verdict, mission, tool
from tests import watchers  # noqa: F401  (it adds missions)

logger = logging.getLogger(__name__)
RAN = "sample step ran"
MIGRATED = "sample rows migrated"
OPEN = "turnstile-open"  # the file in the workers' DATA_DIR that opens the turnstile
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


class Migrate(BaseModel):
    """How many rows, and how many of them between two cursors."""

    rows: int
    interval: int


def migrate_rows(call: StepCall, rows: int, interval: int) -> int:
    """Migrate rows into files of the workspace, an interval of them at a time; log each interval that is done."""
    parts = call.workspace / "parts"
    parts.mkdir(exist_ok=True)
    for first in range(call.resume_cursor or 0, rows, interval):
        lines = "".join(f"{row},{row * row % 97}\n" for row in range(first, first + interval))
        (parts / f"{first:09}.csv").write_text(lines)
        logger.info(f"{MIGRATED}: {call.mission_id} {first}")
        call.heartbeat({"done": first + interval, "total": rows}, first + interval)
    return sum(path.read_text().count("\n") for path in parts.iterdir())


@mission("test.migrate", version=1, title="Migrate", checkpoint=Checkpoint(interval=0))
async def migrate(m: Context, request: Migrate) -> Verdict:
    """One long step with a cursor."""
    return Verdict("migrated", data={"rows": await m.step("migrate", migrate_rows, request.rows, request.interval)})


class Listen(BaseModel):
    """For how many signals to wait."""

    signals: int


@mission("test.listen", version=1, title="Listen")
async def listen(m: Context, request: Listen) -> Verdict:
    """Wait for one signal after the other, and park in between."""
    heard = [await m.wait_for_signal("tick", timeout=3600) for _ in range(request.signals)]
    return Verdict("heard", data={"heard": [signal and signal["number"] for signal in heard]})


class Brood(BaseModel):
    """How many children."""

    children: int


class Chick(BaseModel):
    """Which child."""

    number: int


@mission("test.chick", version=1, title="Chick")
async def chick(m: Context, request: Chick) -> Verdict:
    """Grow for one step."""
    _enter(m)
    return Verdict("grown", data={"number": await m.step("grow", spin, 0, request.number, 0.01)})


@mission("test.brood", version=1, title="Brood")
async def brood(m: Context, request: Brood) -> Verdict:
    """Start children and wait for all of them."""
    handles = [await m.spawn("test.chick", {"number": number}) for number in range(request.children)]
    return Verdict("grown up", data={"numbers": [end.data["number"] for end in await m.join_all(handles)]})

@tool(name="sample.turnstile", effect="read")
async def turnstile(call: ToolCall) -> bool:
    """Stand in the turnstile until it is opened"""
    logger.info(f"turnstile in: {call.mission_id}")
    while not Path(os.environ["DATA_DIR"], OPEN).exists():
        await asyncio.sleep(0.05)
    logger.info(f"turnstile out: {call.mission_id}")
    return True


class Pass(BaseModel):
    """Nothing to tell."""


@mission("test.pass", version=1, title="Pass")
async def pass_through(m: Context, request: Pass) -> Verdict:
    """Pass through the turnstile, where one at a time fits."""
    await m.tool("sample.turnstile")
    return Verdict("passed")
