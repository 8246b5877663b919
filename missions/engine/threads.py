"""Synchronous code of a worker: in threads of its own, each with a database connection that outlives the call.

Authors' code and the engine's verbs have a pool each, so that steps that block hold up no ruling, vote or alarm.

A database that is away is waited for: the caller's mission is not at fault. A worker whose lane is lost is poisoned
meanwhile, so that nothing goes on that should not.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections

logger = logging.getLogger(__name__)
AWAY_FIRST, AWAY_MOST = 0.05, 2.0  # seconds


def closing(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread that keeps no stale database connection."""
    close_old_connections()
    try:
        return function(*args)
    except StopIteration as error:  # no future can hold it: whoever awaits the call would wait for ever
        raise RuntimeError("StopIteration was raised") from error
    finally:
        close_old_connections()


class Threads:
    """The thread pools of one worker."""

    def __init__(self, size: int, begun: Callable[[concurrent.futures.Future[Any]], None] = lambda work: None) -> None:
        self._begun = begun  # told of each function of an author
        self._authors, self._verbs = (
            concurrent.futures.ThreadPoolExecutor(size, thread_name_prefix=f"standfast-{name}")
            for name in ("author", "verb")
        )

    async def once(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run an author's function in a thread."""
        work = self._authors.submit(closing, function, *args)
        self._begun(work)
        return await asyncio.wrap_future(work)

    async def patiently(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a verb of our own, which may be repeated; as long as the database is away it is, with backoff."""
        delay, loop = AWAY_FIRST, asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(self._verbs, closing, function, *args)
            except (OperationalError, InterfaceError) as error:
                facts = {"action": "database_away", "why": str(error)[:200]}
                logger.warning("The database is away; trying again", extra=facts)
                await asyncio.sleep(delay)
                delay = min(delay * 2, AWAY_MOST)

    def close(self) -> None:
        """Take no more work; does not wait for what runs."""
        for pool in (self._authors, self._verbs):
            pool.shutdown(wait=False, cancel_futures=True)

    def settle(self) -> None:
        """Wait for the verbs that still run, once it is closed."""
        self._verbs.shutdown()
