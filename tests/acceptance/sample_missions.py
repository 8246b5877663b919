"""Missions that only tests run; workers get them through MISSIONS_MODULES.

Each step logs that it ran, so that a test can tell how often, and when.
"""

from __future__ import annotations

import logging
import time

from pydantic import BaseModel

from missions.authoring import Context, Verdict, mission

logger = logging.getLogger(__name__)
RAN = "sample step ran"


class Weave(BaseModel):
    """How large, and how slow."""

    strands: int = 4
    rounds: int = 3
    step_seconds: float = 0.0
    sleep_seconds: float = 0.2


def spin(strand: int, round: int, seconds: float) -> int:
    """Spin one length of yarn."""
    time.sleep(seconds)
    logger.info(RAN, extra={"what": f"{strand}/{round}", "at": f"{time.time():.6f}"})
    return strand * 100 + round


async def _strand(m: Context, request: Weave, strand: int) -> list[object]:
    """Steps, sleeps and a signal, over and over; each strand in another order."""
    woven: list[object] = []
    for round in range(request.rounds):
        woven.append(await m.step("spin", spin, strand, round, request.step_seconds))
        if (strand + round) % 2:
            await m.sleep(request.sleep_seconds)
        colour = await m.wait_for_signal(f"colour-{strand}", timeout=3600)
        woven.append(None if colour is None else colour["name"])
    return woven


@mission("test.weave", version=1, title="Weave")
async def weave(m: Context, request: Weave) -> Verdict:
    """Strands side by side, then a wait that times out, then more strands inside strands."""
    first = await m.gather(*(_strand(m, request, strand) for strand in range(request.strands)))
    missing = await m.wait_for_signal("never", timeout=request.sleep_seconds)

    async def pair(number: int) -> list[object]:
        return await m.gather(
            m.step("spin", spin, number, 90, request.step_seconds), m.step("spin", spin, number, 91, 0.0)
        )

    second = await m.gather(*(pair(number) for number in range(2)))
    await m.observe("All strands are woven.")
    return Verdict("woven", data={"first": first, "missing": missing, "second": second})


class Plod(BaseModel):
    """How many steps, and how long each takes."""

    steps: int
    step_seconds: float


@mission("test.plod", version=1, title="Plod")
async def plod(m: Context, request: Plod) -> Verdict:
    """One step after the other."""
    done = [await m.step("spin", spin, 0, number, request.step_seconds) for number in range(request.steps)]
    return Verdict("plodded", data={"done": done})
