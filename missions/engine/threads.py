"""Synchronous code of a worker: in threads of its own, each with a database connection that outlives the call.

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


def _closing(function: Callable[..., Any], *args: Any) -> Any:
    close_old_connections()
    try:
        return function(*args)
    finally:
        close_old_connections()


class Threads:
    """The thread pool of one worker."""

    def __init__(self, size: int) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(size, thread_name_prefix="standfast")

    async def once(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _closing, function, *args)

    async def patiently(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function that may be repeated; as long as the database is away it is, with backoff."""
        delay = AWAY_FIRST
        while True:
            try:
                return await self.once(function, *args)
            except (OperationalError, InterfaceError) as error:
                facts = {"action": "database_away", "why": str(error)[:200]}
                logger.warning("The database is away; trying again", extra=facts)
                await asyncio.sleep(delay)
                delay = min(delay * 2, AWAY_MOST)

    def close(self) -> None:
        """Take no more work; does not wait for what runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)
