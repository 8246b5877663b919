"""Between the loop of an agent and the branch of the mission that it works in.

The loop runs in a task beside the branch, for a library's tasks are no branches of a mission; whatever it wants from
the record or the world it asks for here, and the branch does it in its own task, one thing after the other. So what
is recorded comes in the mission's order, and a mission stands still only where a durable call stands still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that the loop wants done."""

    act: Callable[[], Awaitable[Any]]
    answer: asyncio.Future[Any]


class Bridge:
    """One agent at work: `attend` in the branch, `ask` in the loop."""

    def __init__(self) -> None:
        self._asked: asyncio.Queue[Asked | None] = asyncio.Queue()

    async def ask(self, act: Callable[[], Awaitable[T]]) -> T:
        """Have the branch do something; what comes of it. What fails there ends the agent: nothing is raised here."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait(Asked(act=act, answer=answer))
        return await answer

    async def attend(self, work: Coroutine[Any, Any, T], own: Callable[[asyncio.Task[Any]], None]) -> T:
        """Run the loop, and do what it asks for until it ends; its result. Raises what an act or the loop raises."""
        task = asyncio.get_running_loop().create_task(work)
        own(task)
        task.add_done_callback(lambda done: self._asked.put_nowait(None))
        try:
            while (asked := await self._asked.get()) is not None:
                result = await asked.act()
                if not asked.answer.done():  # else somebody cancelled the loop while it waited for this
                    asked.answer.set_result(result)
            return await task
        finally:
            task.cancel()
            task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    """Nobody else asks what became of a loop that was left."""
    if not task.cancelled():
        task.exception()
