"""Missions that harm the worker they run on, and innocent ones; workers get them through MISSIONS_MODULES."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from pydantic import BaseModel

from missions.authoring import Context, Verdict, mission

MODULE = "tests.acceptance.harmful_missions"
LAST_BREATH = "last-breath"  # the file in the workers' DATA_DIR that lets the patient end


class Nothing(BaseModel):
    """No input."""


async def breathe() -> int:
    """Take a breath."""
    await asyncio.sleep(0.1)
    return 1


async def breathe_on() -> bool:
    """Take a breath; whether there is need of more."""
    await asyncio.sleep(0.1)
    return not Path(os.environ["DATA_DIR"], LAST_BREATH).exists()


async def kill() -> None:
    """Kill the process, once the others have got on."""
    await asyncio.sleep(0.5)
    signal.raise_signal(signal.SIGKILL)


async def block() -> None:
    """Hold up the loop for ever, once the others have got on."""
    await asyncio.sleep(0.5)
    while True:
        pass


async def dawdle() -> None:
    """Take long, and harm nobody."""
    await asyncio.sleep(3600)


def hang() -> None:
    """Hold a thread for ever."""
    time.sleep(3600)


@mission("test.innocent", version=1, title="Innocent")
async def innocent(m: Context, request: Nothing) -> Verdict:
    """A few breaths."""
    return Verdict("lived", data={"breaths": [await m.step("breathe", breathe) for _ in range(5)]})


@mission("test.patient", version=1, title="Patient")
async def patient(m: Context, request: Nothing) -> Verdict:
    """Breathes for as long as the test wants, however fast the machine is."""
    breaths = 1
    while await m.step("breathe", breathe_on):
        breaths += 1
    return Verdict("lived", data={"breaths": breaths})


@mission("test.killer", version=1, title="Killer")
async def killer(m: Context, request: Nothing) -> None:
    """Kills its worker."""
    await m.step("kill", kill)


@mission("test.blocker", version=1, title="Blocker")
async def blocker(m: Context, request: Nothing) -> None:
    """Blocks its worker."""
    await m.step("block", block)


@mission("test.dawdler", version=1, title="Dawdler")
async def dawdler(m: Context, request: Nothing) -> None:
    """Is there, without progress."""
    await m.step("dawdle", dawdle)


@mission("test.hanger", version=1, title="Hanger")
async def hanger(m: Context, request: Nothing) -> None:
    """Hangs in a thread."""
    await m.step("hang", hang)
