"""What goes on in a process after its worker fenced itself: calls under way, and authors' threads.

A call is let end by its deadline, since its late answer is evidence. What remains after that can only be ended with the
process: threads can not be. Knows nothing of missions.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import time
from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)
GRACE_SECONDS = 5.0  # after the last deadline; for threads without one, after the fence
Work = Sequence[asyncio.Task[object] | concurrent.futures.Future[object]]


class Leftovers:
    """The open work of one process. `on_overdue` is called once, when some of it outlived a fence for too long."""

    def __init__(self, on_overdue: Callable[[], None]) -> None:
        self._on_overdue = on_overdue
        self._calls: dict[asyncio.Task[object], float] = {}
        self.threads: set[concurrent.futures.Future[object]] = set()

    def call(self, task: asyncio.Task[object], seconds: float) -> None:
        """A call is under way, until its deadline in so many seconds."""
        self._calls[task] = time.monotonic() + seconds
        task.add_done_callback(lambda done: self._calls.pop(done, None))

    def thread(self, work: concurrent.futures.Future[object]) -> None:
        """An author's function was handed to a thread."""
        self.threads.add(work)
        work.add_done_callback(self.threads.discard)

    def fenced(self) -> None:
        """The worker has fenced itself: whatever is under way now belongs to missions that are others' already."""
        work: Work = (*self._calls, *self.threads)
        if work:
            now = time.monotonic()
            until = max([now, *self._calls.values()]) + GRACE_SECONDS
            asyncio.get_running_loop().call_later(until - now, self._judge, work)

    def _judge(self, work: Work) -> None:
        left = sum(not one.done() for one in work)
        if left:
            facts = {"action": "leftovers_overdue", "left": left}
            logger.error("Work of a fenced worker does not end; the process leaves", extra=facts)
            self._on_overdue()
