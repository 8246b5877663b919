"""Which worker looks first when a hint names a mission. No database."""

from __future__ import annotations

import asyncio

from missions.engine.hearing import Hearing


async def _looks(place: int, *hints: str) -> tuple[int, int]:
    """How often one of two workers has looked: at once, and in the end."""
    looked: list[str] = []
    again = asyncio.Event()

    def look() -> None:
        looked.append("")
        again.set()

    hearing = Hearing(look)
    hearing.place(place, 2)
    for hint in hints:
        hearing.heard(hint)
    at_once = len(looked)
    await asyncio.wait_for(again.wait(), 5)
    return at_once, len(looked)


def test_the_worker_whose_turn_it_is_looks_at_once() -> None:
    assert asyncio.run(_looks(0, "12")) == (1, 1)
    assert asyncio.run(_looks(1, "13")) == (1, 1)


def test_the_others_look_later_once_for_many_hints() -> None:
    assert asyncio.run(_looks(1, "12", "14", "16")) == (0, 1)


def test_a_hint_that_names_nothing_is_for_all() -> None:
    assert asyncio.run(_looks(1, "")) == asyncio.run(_looks(0, "")) == (1, 1)


def test_who_has_stopped_looks_no_more() -> None:
    async def stopped() -> list[str]:
        looked: list[str] = []
        hearing = Hearing(lambda: looked.append(""))
        hearing.place(1, 2)
        hearing.heard("12")
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, over.set)
        hearing.stop()
        await over.wait()
        return looked

    assert not asyncio.run(stopped())
