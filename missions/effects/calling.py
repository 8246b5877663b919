"""One try of an author's function that may report, be timed out, or use the workspace.

Owns what such a try is handed, and what is recorded beside its result. A try that was given up can record nothing:
its heartbeats raise `GivenUp`, and its folder is no longer the mission's.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import inspect
import threading
import time
import typing
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from missions.effects import heartbeats
from missions.effects.heartbeats import Reporter
from missions.engine import codec, guard, guarded_events
from missions.engine.registry import checkpoint_of
from missions.engine.run import Run
from missions.engine.writes import Side
from missions.errors import StepTimedOut
from missions.governance import Json
from missions.storage import artifacts, blobs, local
from missions.storage.workspaces import workspace_of
from missions.tools.calls import StepCall
from missions.tools.spec import ToolCall, ToolSpec

CANCELLED_SECONDS = 1.0  # how long a function that was timed out may take to unwind
Given = TypeVar("Given", StepCall, ToolCall)


@functools.lru_cache(maxsize=4096)
def takes_call(function: Callable[..., Any]) -> bool:
    """Whether a step function annotates its first parameter as StepCall."""
    try:
        first = next(iter(inspect.signature(function).parameters.values()), None)
    except (TypeError, ValueError):
        return False  # a builtin that does not tell
    if first is None:
        return False
    try:
        return typing.get_type_hints(function).get(first.name) is StepCall
    except (NameError, TypeError):
        return first.annotation in (StepCall, "StepCall")


class Calling:
    """A try under way; `begin` it, hand its function what `equip` fills in, record inside `recording`, `close` it."""

    def __init__(self, run: Run, path: str) -> None:
        self._run, self._path = run, path
        self._strategy = checkpoint_of(run.claimed.type)
        self._space = workspace_of(run)
        self._cursor: Any = None
        self._resumed = self._used = False
        self._folder: Path | None = None
        self._guard = threading.Lock()
        self.reporter = Reporter(run, path, self._strategy.interval_seconds)

    async def begin(self, *, fresh: bool, workspace: bool) -> None:
        """Look where an earlier try was cut off (not for a `fresh` one), and have the workspace here.

        Raises UnknownArtifact, WorkspaceRefused, OSError.
        """
        reported = None if fresh else await heartbeats.kept(self._run, self._path)
        self._resumed = reported is not None
        cursor, held = reported if reported is not None and self._strategy.resumes else (None, None)
        wanted = held.hex() if held else self._space.digest
        ready = not workspace or not wanted or await self._space.prepare(self._run, wanted)
        if cursor is not None and (ready or not held):
            self._cursor = codec.load(cursor)

    def equip(self, call: Given, *, workspace: bool) -> Given:
        """Fill in what a call hands to its function."""
        call.heartbeat, call.resume_cursor = self.reporter.heartbeat, self._cursor
        call.open_artifact = artifacts.open_artifact
        if workspace:
            call.find_workspace = self._find_workspace
        return call

    def step_call(self, deadline: dt.datetime | None) -> StepCall:
        """What a step function gets."""
        claimed = self._run.claimed
        call = StepCall(mission_id=str(claimed.uid), attempt=claimed.attempt, deadline=deadline)
        return self.equip(call, workspace=True)

    def _find_workspace(self) -> Path:
        token = guard.free()  # what makes the folder is ours, in the author's own thread
        try:
            with self._guard:
                self.reporter.check()
                if self._folder is None:
                    guarded_events.allow_folder(str(local.root()))
                    self._folder, self._used = self._space.begin_use(self._run), True
                    self.reporter.snapshot = self._snapshot
                return self._folder
        finally:
            guard.restore(token)

    def _snapshot(self) -> tuple[bytes, Side] | None:
        """The workspace as of a cursor. An async function can not be stopped meanwhile: its cursors are not kept."""
        copy = self._space.copy
        if copy is None or heartbeats.on_loop():
            return None
        needed = blobs.aside(local.capture, copy).result()
        return needed[0], artifacts.used(needed)

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[tuple[Json, tuple[Side, ...]]]:
        """What belongs into the entry that ends the call, and what goes with it; the entry is written inside.

        Raises WorkspaceRefused, OSError before anything is written.
        """
        self.reporter.close(keep=False)
        side = self.dropping()
        if not self._used:
            yield {}, side
            return
        async with self._space.recording():
            manifest, use = await self._space.capture(self._run)
            yield {"workspace": manifest}, (*side, use)
            self._used = False
            self._space.end_use(manifest)

    def dropping(self) -> tuple[Side, ...]:
        """What removes the heartbeats, where there are any."""
        return (heartbeats.dropping(self._run, self._path),) if self.reporter.sent or self._resumed else ()

    def close(self) -> None:
        """The try is over, with or without a record."""
        self.reporter.close(keep=True)
        with self._guard:
            if self._used:
                self._used = False
                self._space.end_use(None)


@asynccontextmanager
async def attended(run: Run, path: str, spec: ToolSpec, *, fresh: bool) -> AsyncIterator[Calling]:
    """One call of a tool under way. `fresh`: no earlier call of it can have reported anything."""
    calling = Calling(run, path)
    await calling.begin(fresh=fresh, workspace=spec.workspace)
    try:
        yield calling
    finally:
        calling.close()


async def within(work: Awaitable[Any], reporter: Reporter, seconds: float | None, silence: float | None) -> Any:
    """What `work` gives, within `seconds` of its start and never silent for longer than `silence`.

    A coroutine that is late is cancelled; a thread goes on, and nobody listens to it. Raises StepTimedOut.
    """
    task: asyncio.Future[Any] = asyncio.ensure_future(work)
    try:
        while (left := _left(reporter, seconds, silence)) > 0:
            if (await asyncio.wait({task}, timeout=left))[0]:
                return task.result()
    except asyncio.CancelledError:
        _give_up(task)
        raise
    _give_up(task)
    await asyncio.wait({task}, timeout=CANCELLED_SECONDS)
    over = seconds is not None and time.monotonic() - (reporter.began_at or 0.0) >= seconds
    what = f"took longer than {seconds:g} s" if over else f"was silent for longer than {silence:g} s"
    raise StepTimedOut(f"It {what}.")


def _left(reporter: Reporter, seconds: float | None, silence: float | None) -> float:
    now = time.monotonic()
    begun, heard = reporter.began_at or now, max(reporter.heard_at, reporter.began_at or now)
    return min(begun + (seconds or float("inf")), heard + (silence or float("inf"))) - now


def _give_up(task: asyncio.Future[Any]) -> None:
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else asks
