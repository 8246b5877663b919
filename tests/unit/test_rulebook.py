"""What a worker reads again and again: one reading after the other, and nothing older in the place of what is newer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from missions.engine.rulebook import Reading


class Place:
    """What is read, slowly: a reading has its value at once, and tells it when the gate opens."""

    def __init__(self) -> None:
        self.value, self.readings = "old", 0
        self.gate = asyncio.Event()
        self.known: list[str] = []

    async def in_thread(self, read: Callable[[], Any]) -> Any:
        self.readings += 1
        found = read()
        await self.gate.wait()
        return found

    def reading(self) -> Reading:
        return Reading(self.in_thread, lambda: self.value, self.known.append)


async def test_a_slow_reading_never_takes_the_place_of_a_later_one() -> None:
    place = Place()
    reading = place.reading()
    first = asyncio.create_task(reading.renew())
    await asyncio.sleep(0)
    place.value = "new"
    later = [asyncio.create_task(reading.renew()) for _ in range(5)]
    await asyncio.sleep(0)
    place.gate.set()
    await asyncio.gather(first, *later)
    assert place.known == ["old", "new"]
    assert place.readings == 2, "those who came during the first share the second"


async def test_a_reading_that_is_cancelled_is_done_by_whoever_waits() -> None:
    place = Place()
    reading = place.reading()
    first = asyncio.create_task(reading.renew())
    await asyncio.sleep(0)
    second = asyncio.create_task(reading.renew())
    await asyncio.sleep(0)
    first.cancel()
    place.gate.set()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    await second
    assert place.known == ["old"]


async def test_whoever_comes_last_knows_what_was_there_when_they_came() -> None:
    place = Place()
    place.gate.set()
    reading = place.reading()
    for value in ("old", "new", "newer"):
        place.value = value
        await reading.renew()
        assert place.known[-1] == value
