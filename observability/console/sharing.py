"""Work that several sockets need at the same moment is done once, and its result handed to all of them.

Promises: nobody gets a result of work that had begun before they asked. A hint that came meanwhile would otherwise be
answered with what was read before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Result = TypeVar("Result")
Gathering = dict[Hashable, asyncio.Task[Any]]
_gathering: WeakKeyDictionary[asyncio.AbstractEventLoop, Gathering] = WeakKeyDictionary()


async def once(key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
    """The result of `work`, shared by all who ask under this key before it begins: at the loop's next turn."""
    tasks = _gathering.setdefault(asyncio.get_running_loop(), {})
    task = tasks.get(key)
    if task is None:
        task = tasks[key] = asyncio.create_task(_begin(tasks, key, work))
    return await asyncio.shield(task)  # one socket that leaves must not take the others' answer with it


async def _begin(tasks: Gathering, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
    await asyncio.sleep(0)  # all who were woken by the same hint have asked by now
    del tasks[key]
    return await work()
