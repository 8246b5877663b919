"""The timer of a worker rings when the database's clock says so, also where that clock has moved meanwhile."""

from __future__ import annotations

import asyncio
import datetime as dt

from missions.engine.clock import Estimate
from missions.engine.timer import DueTimer

DAY = dt.timedelta(days=1)


async def rings(clock: Estimate, *, at: dt.datetime, then: dt.datetime, seconds: float) -> bool:
    """Whether a timer that is set for `at`, and again once the clock reads `then`, rings within so many seconds."""
    rang = asyncio.Event()
    timer = DueTimer(clock, rang.set)
    timer.set(at)
    clock.read(then)
    timer.set(at)
    try:
        await asyncio.wait_for(rang.wait(), seconds)
    except TimeoutError:
        return False
    finally:
        timer.stop()
    return True


async def test_a_clock_that_has_moved_past_what_was_set_makes_it_ring() -> None:
    clock = Estimate()
    now = clock.now()
    assert await rings(clock, at=now + DAY, then=now + 2 * DAY, seconds=20)


async def test_a_clock_that_has_moved_less_does_not() -> None:
    clock = Estimate()
    now = clock.now()
    assert not await rings(clock, at=now + 2 * DAY, then=now + DAY, seconds=0.2)


async def test_the_earliest_of_what_is_set_counts() -> None:
    clock = Estimate()
    rang = asyncio.Event()
    timer = DueTimer(clock, rang.set)
    for days in (2, 0, 1):
        timer.set(clock.now() + days * DAY)
    await asyncio.wait_for(rang.wait(), 5)
