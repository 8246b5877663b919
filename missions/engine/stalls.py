"""Finding missions that wait for what no durable call will bring, such as an `asyncio.Event` between branches.

Replay could not tell when that came, and a mission that waits so is never parked. Where every branch that runs is in
the author's own code and nothing has moved for MISSIONS_STALL_SECONDS, the mission is paused with the line that waits.
Reads memory only.
"""

from __future__ import annotations

import asyncio
import linecache
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from missions.engine.branches import Branch
from missions.engine.run import Run

OURS = tuple(str(Path(__file__).resolve().parents[1] / name) for name in ("engine", "context", "effects"))
PYTHONS = str(Path(asyncio.__file__).parent)


class Stalls:
    """The watch over the missions in one worker's memory."""

    def __init__(self, runs: Callable[[], Iterable[Run]]) -> None:
        self._runs, self._seen = runs, dict[Run, tuple[int, float]]()
        self._loop = asyncio.get_running_loop()
        self._timer = self._next()

    def _next(self) -> asyncio.TimerHandle:
        return self._loop.call_later(settings.MISSIONS_STALL_SECONDS / 4, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._next()
        now, before, self._seen = self._loop.time(), self._seen, {}
        for run in list(self._runs()):
            waiting = stalled(run)
            if not waiting:
                continue
            moves, since = before.get(run, (run.moves, now))
            since = since if moves == run.moves else now
            self._seen[run] = run.moves, since
            if now - since >= settings.MISSIONS_STALL_SECONDS:
                run.pause("stalled", told(waiting))


def stalled(run: Run) -> list[asyncio.Task[Any]]:
    """The tasks that wait in the author's own code, where nothing else of the mission runs."""
    if run.root is None or run.has_left:
        return []
    tasks = [task for branch in _branches(run.root()) if (task := _outside(branch)) is not None]
    return tasks if len(tasks) == run.running else []


def _branches(root: Branch | None) -> Iterator[Branch]:
    if root is not None:
        yield root
        for group in root.groups:
            for branch in group.branches:
                yield from _branches(branch)


def _outside(branch: Branch) -> asyncio.Task[Any] | None:
    """The branch's task, if it runs outside all durable calls."""
    task = branch.task() if branch.task is not None else None
    return task if task is not None and not (branch.inside or branch.ended or task.done()) else None


def told(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """The sentence that names the lines."""
    lines = "; ".join(line for line in (line_of(task) for task in tasks) if line)
    return (
        f"The mission waits for something that no durable call brings: {lines or 'nobody can tell where'}. "
        "Wait with a call of the context; what one branch tells another goes through their results or a signal."
    )


def line_of(task: asyncio.Task[Any]) -> str:
    """The innermost line of the author's code that the task waits in."""
    coroutine: Any = task.get_coro()
    found = ""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and not frame.f_code.co_filename.startswith((*OURS, PYTHONS)):
            file, number = frame.f_code.co_filename, frame.f_lineno
            found = f"{file}, line {number}, in {frame.f_code.co_name}: {linecache.getline(file, number).strip()}"
        coroutine = getattr(coroutine, "cr_await", None)
    return found
