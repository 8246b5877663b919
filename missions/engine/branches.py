"""Strands of one mission and what they wait for. Plain data; `missions.engine.run` moves it."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from missions.engine import guard
from missions.errors import MisusedContext

if TYPE_CHECKING:
    from missions.engine.run import Run


@dataclass(slots=True, kw_only=True)
class Wait:
    """A durable wait of one branch: for a signal, a time, or either."""

    label: str  # as shown: `decision:ID`, `signal:NAME`, `tool:NAME`, `timer`, or empty for a mission that is put back
    signals: tuple[str, ...] = ()  # any of these wakes it
    wake_at: dt.datetime | None = None
    future: asyncio.Future[None] | None = None
    timer: asyncio.TimerHandle | None = None


_Call = TypeVar("_Call", bound=Callable[..., Awaitable[Any]])


def being_cancelled() -> bool:
    """Whether somebody cancels the current task; else a CancelledError only leaked out of what it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def durable(call: _Call) -> _Call:
    """A call that none but the engine may cut off: a time-out of the author's own would come elsewhere in replay."""

    @functools.wraps(call)
    async def whole(context: Any, /, *args: Any, **kwargs: Any) -> Any:
        token = guard.free()
        try:
            return await call(context, *args, **kwargs)
        except asyncio.CancelledError:
            if being_cancelled():
                context.cut_off()
            raise
        finally:
            guard.restore(token)

    return cast(_Call, whole)


@dataclass(slots=True)
class Branch:
    """A strand of execution with a key path of its own."""

    run: Run
    prefix: str
    # Weak, since the task's context holds the branch: what has left memory must be gone without a garbage collection.
    task: weakref.ReferenceType[asyncio.Task[Any]] | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def enter(self) -> None:
        """Make the current task this branch's own."""
        task = asyncio.current_task()
        self.task = weakref.ref(task) if task is not None else None

    @property
    def is_here(self) -> bool:
        """Whether the current task is this branch's."""
        task = asyncio.current_task()
        return task is not None and self.task is not None and self.task() is task

    def path(self, name: str) -> str:
        """The key of the next call of this name here: path/name#occurrence."""
        if not name.isprintable() or not 0 < len(name) <= 100 or "/" in name or "#" in name:
            raise MisusedContext(f"{name!r} is no usable name: 1 to 100 printable characters, without / and #.")
        count = self.counts[name] = self.counts.get(name, 0) + 1
        return f"{self.prefix}{name}#{count}"
