"""Strands of one mission, what they wait for, and how one is cut off. `missions.engine.run` moves them.

A branch is cut off where nothing can be lost: in a wait, in a plain step, or in the author's own code. Never while an
entry is on its way to the journal, and never between an effect's intent and its definite outcome (`mark`). From then
on each durable call of it raises CancelledError, so that its `finally` blocks can start nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import functools
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from missions.engine import guard
from missions.errors import MisusedContext

if TYPE_CHECKING:
    from missions.engine.groups import Group
    from missions.engine.run import Run

current_branch: contextvars.ContextVar[Branch] = contextvars.ContextVar("standfast_branch")


@dataclass(slots=True, kw_only=True)
class Wait:
    """A durable wait of one branch: for a signal, a time, or either."""

    label: str  # as shown: `decision:ID`, `signal:NAME`, `tool:NAME`, `llm:AGENT`, `timer`; empty: it is put back
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
        branch = current_branch.get(None)
        if branch is None:
            return await call(context, *args, **kwargs)  # which refuses
        branch.inside += 1
        token = guard.free()
        try:
            return await call(context, *args, **kwargs)
        except asyncio.CancelledError:
            if being_cancelled() and not branch.cut_off:
                context.cut_off()
            raise
        finally:
            branch.inside -= 1
            guard.restore(token)

    return cast(_Call, whole)


def is_cut_off() -> bool:
    """Whether the current branch was cut off and may start nothing more; one under a shield goes on."""
    branch = current_branch.get(None)
    return branch is not None and branch.cut_off and not branch.shielded


def stands_at(path: str) -> None:
    """The current branch is about to stand still in the call at this path."""
    branch = current_branch.get(None)
    if branch is not None:
        branch.standing = path


def mark(*, shielded: bool = False, question: str = "") -> None:
    """Where the current branch is: between an effect's intent and its definite outcome, or with a decision open."""
    branch = current_branch.get(None)
    if branch is not None:
        branch.shielded, branch.question = shielded, question


class Interruptible:
    """What is awaited inside may be cancelled when the branch is cut off: nothing of it is recorded yet.

    A class, since every step enters it: a generator would cost a microsecond.
    """

    __slots__ = ("_branch",)

    def __enter__(self) -> None:
        self._branch = current_branch.get(None)
        if self._branch is not None:
            self._branch.interruptible = True

    def __exit__(self, *error: object) -> None:
        if self._branch is not None:
            self._branch.interruptible = False


@dataclass(slots=True, weakref_slot=True)
class Branch:
    """A strand of execution with a key path of its own."""

    run: Run
    prefix: str
    # Weak, since the task's context holds the branch: what has left memory must be gone without a garbage collection.
    task: weakref.ReferenceType[asyncio.Task[Any]] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)  # of its own branches, while it waits for them
    inside: int = 0  # how many durable calls deep it is
    standing: str = ""  # the path of the call in which it stands, or last stood
    shielded: bool = False
    interruptible: bool = False
    ended: bool = False  # the author's code in it has come to its end
    cut_off: bool = False
    cut_by: Group | None = None
    question: str = ""  # the decision that it waits for, to be withdrawn if the branch ends without the answer

    def enter(self) -> None:
        """Make the current task this branch's own."""
        task = asyncio.current_task()
        self.task = weakref.ref(task) if task is not None else None

    @property
    def is_here(self) -> bool:
        """Whether the current task is this branch's."""
        return self.task is not None and (task := self.task()) is not None and task is self.run.current_task()

    def path(self, name: str) -> str:
        """The key of the next call of this name here: path/name#occurrence."""
        count = self.counts.get(name, 0)
        if not count and (not name.isprintable() or not 0 < len(name) <= 100 or "/" in name or "#" in name):
            raise MisusedContext(f"{name!r} is no usable name: 1 to 100 printable characters, without / and #.")
        self.counts[name] = count + 1
        return f"{self.prefix}{name}#{count + 1}"

    def cut(self, by: Group) -> None:
        """Cut it off, and its own branches first; those under a shield end once their effects are settled."""
        self.cut_off, self.cut_by = True, by
        for group in self.groups:
            for branch in group.branches:
                branch.cut(by)
        if not self.shielded:
            self._interrupt()

    def _interrupt(self) -> None:
        self.run.interrupt(self.standing)
        task = self.task() if self.task is not None else None  # None: it has not begun, and will not
        if task is not None and not self.ended and (self.inside == 0 or self.interruptible):
            task.cancel()
