"""Work shared between sockets: once for all who ask together, never older than the question."""

from __future__ import annotations

import asyncio

import pytest

from observability.console.sharing import once
from observability.hub import AGAIN, ANY_MISSION, QUEUE, Hub, Inbox


class Counter:
    """Work that tells how often it was begun, and waits to be let go."""

    def __init__(self) -> None:
        self.begun, self.go = 0, asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.go.wait()
        return number


async def test_those_who_ask_together_share_one_run() -> None:
    work = Counter()
    work.go.set()
    assert await asyncio.gather(*(once("key", work) for _ in range(50))) == [1] * 50


async def test_who_asks_after_it_began_gets_a_run_of_their_own() -> None:
    work = Counter()
    early = asyncio.create_task(once("key", work))
    while not work.begun:
        await asyncio.sleep(0)
    late = asyncio.create_task(once("key", work))
    while work.begun < 2:
        await asyncio.sleep(0)
    work.go.set()
    assert (await early, await late) == (1, 2)


async def test_one_who_leaves_does_not_take_the_answer_of_the_others() -> None:
    work = Counter()
    leaving, staying = (asyncio.create_task(once("key", work)) for _ in range(2))
    while not work.begun:
        await asyncio.sleep(0)
    leaving.cancel()
    work.go.set()
    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_failure_is_everybodys_and_is_not_kept() -> None:
    async def fail() -> int:
        raise ValueError("no")

    results = await asyncio.gather(*(once("key", fail) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3
    work = Counter()
    work.go.set()
    assert await once("key", work) == 1


async def test_hints_are_a_set_so_that_a_slow_reader_costs_nothing() -> None:
    inbox = Inbox()
    for _ in range(10_000):
        inbox.put("m1")
    inbox.put(QUEUE)
    assert await inbox.take() == {"m1", QUEUE}
    waiting = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(AGAIN)
    assert await waiting == {AGAIN}


async def test_the_hub_hands_each_token_to_its_topic_only() -> None:
    hub, inboxes = Hub(), {topic: Inbox() for topic in ("m1", "m2", QUEUE, ANY_MISSION)}
    for topic, inbox in inboxes.items():
        hub._topics[topic].add(inbox)
    hub.deliver("m1 q m3")
    assert await inboxes["m1"].take() == {"m1"}
    assert await inboxes[QUEUE].take() == {QUEUE}
    assert await inboxes[ANY_MISSION].take() == {"m1", "m3"}
    assert not inboxes["m2"]._some.is_set()
