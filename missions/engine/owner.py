"""What a run needs of the worker that runs it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from missions.engine.limits import Rules

if TYPE_CHECKING:
    from missions.engine.leaving import Leaving


class Owner(Protocol):
    """What a run needs of the worker that runs it."""

    draining: bool
    patience: float  # seconds that a running step is given to come to its record before a pause

    def rules(self) -> Rules:
        """The limits, circuits and stops as this worker knows them."""

    async def learn_rules(self) -> None:
        """Read limits, circuits and stops anew at once."""

    def spares(self) -> bool:
        """Whether there is memory enough to keep a mission through a short wait."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a task of the engine; one that fails fences the worker."""

    def forget(self, run: Leaving, *, due: bool, wake_at: dt.datetime | None) -> None:
        """The mission has left memory; it may be claimed at once (`due`), at a time, or when something happens."""

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run synchronous code of the author in a thread with its own database connection, once."""

    async def in_database(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a verb of our own in a thread; where the database is away it is waited for, and the verb repeated."""

    def calling(self, task: asyncio.Task[Any], seconds: float) -> None:
        """A call is under way that may outlive this worker, until its deadline in so many seconds."""

    def report_late(self, mission_id: int, key: str, evidence: dict[str, Any]) -> None:
        """A call of a mission that left memory has answered after all; keep that as evidence in its mailbox."""

    def attend(
        self, run: Leaving, reason: str, detail: str, *, matched_seq: int, differs: dict[str, Any] | None = None
    ) -> None:
        """The mission can not go on by itself: pause it, and let people say what becomes of it.

        `differs` is how its code differs from its record: `missions.engine.divergence`.
        """
