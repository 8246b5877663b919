"""Work that several sockets need at the same moment is done once, and its result handed to all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Result = TypeVar("Result")
_running: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Task[Any]]] = WeakKeyDictionary()


async def once(key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
    """The result of `work` under this key: of the call that is under way, else of a new one. Nothing is kept after."""
    tasks = _running.setdefault(asyncio.get_running_loop(), {})
    task = tasks.get(key)
    if task is None:
        task = asyncio.ensure_future(_awaited(work))
        tasks[key] = task
        task.add_done_callback(lambda _: tasks.pop(key, None))
    return await asyncio.shield(task)  # one socket that leaves must not take the others' answer with it


async def _awaited(work: Callable[[], Awaitable[Result]]) -> Result:
    return await work()
