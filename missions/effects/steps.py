"""A step: a function of the author whose result is recorded once.

A step that a crash cut off before its record runs again; only tools may change the world.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

from missions.engine import codec, guard
from missions.engine.branches import Wait, being_cancelled
from missions.engine.claims import Recorded
from missions.engine.run import Run
from missions.engine.verdict import RetryPolicy
from missions.engine.writes import Draft
from missions.errors import Guarded, StepFailed
from missions.governance import Json
from missions.models import Kind


class StepRun:
    """One call `m.step(...)` at one key path."""

    def __init__(
        self, run: Run, path: str, name: str, function: Callable[..., Any], args: tuple[Any, ...],
        kwargs: dict[str, Any], retry: RetryPolicy,
    ) -> None:
        self._run, self._path, self._retry = run, path, retry
        self._function, self._args, self._kwargs = function, args, kwargs
        self._input_hash = codec.input_hash([args, kwargs] if args or kwargs else None)
        self._title = codec.title_of(function, name)
        self._words: Json = {"name": name, "title": self._title}
        # What leaks out of the function besides errors ends the step as well, never the worker or the branch.
        self._caught: tuple[type[BaseException], ...] = (*retry.on, Guarded, SystemExit, asyncio.CancelledError)
        self._failures = 0
        self._resume_at: dt.datetime | None = None

    async def perform(self) -> Any:
        """The recorded result in the function's declared type. Raises StepFailed once the tries are used up."""
        while True:
            entry = await self._run.recorded(self._path, self._input_hash)
            if entry is None:
                if self._resume_at is not None and not self._run.is_past(self._resume_at):
                    await self._run.wait(self._path, Wait(label="timer", wake_at=self._resume_at))
                elif (body := await self._try()) is not None:
                    return self._result(await self._append(Kind.STEP, body), codec.load(body)["result"])
            elif entry.kind == Kind.STEP:
                return self._result(entry.seq, entry.payload["result"])
            else:
                self._fold(entry)

    def _fold(self, entry: Recorded) -> None:
        if entry.kind == Kind.STEP_FAILED:
            raise self._failed(entry.payload["error"])
        if entry.kind != Kind.BACKOFF:
            self._run.unexpected(entry, self._path)
        self._failures, self._resume_at = self._failures + 1, dt.datetime.fromisoformat(entry.payload["resume_at"])

    def _result(self, seq: int, value: Any) -> Any:
        self._run.evidence.append({"seq": seq, "title": self._title, "path": self._path})
        return codec.restore(codec.result_type(self._function), value)

    async def _append(self, kind: Kind, body: bytes) -> int:
        return await self._run.append(Draft(kind=kind, path=self._path, payload=body, input_hash=self._input_hash))

    async def _try(self) -> bytes | None:
        """Run the function: the entry's payload, or None after recording that it is tried again."""
        scope = guard.Guarding(guard.STEP, self._function)
        try:
            if codec.is_async(self._function):
                with scope:
                    value = await self._function(*self._args, **self._kwargs)
            else:
                call = guard.inside(scope, lambda: self._function(*self._args, **self._kwargs))
                value = await self._run.owner.in_thread(call)
            return codec.dump({**self._words, "result": value})
        except self._caught as error:
            if being_cancelled():
                raise
            await self._put_off(error)
            return None

    async def _put_off(self, error: BaseException) -> None:
        self._failures += 1
        told = {"type": type(error).__name__, "message": codec.words(error)}
        if self._failures >= self._retry.attempts or isinstance(error, Guarded):
            await self._append(Kind.STEP_FAILED, codec.dump({**self._words, "error": told}))
            raise self._failed(told) from error
        self._resume_at = self._run.clock.now() + dt.timedelta(seconds=self._retry.delay(self._failures))
        why = {"why": told["message"], "count": self._failures, "resume_at": self._resume_at.isoformat()}
        await self._append(Kind.BACKOFF, codec.dump({**self._words, **why}))

    def _failed(self, error: Json) -> StepFailed | Guarded:
        if error["type"] != Guarded.__name__:
            return StepFailed(error["message"], type=error["type"])
        violation = Guarded(error["message"])
        if self._run.scope is not None:  # it ends the mission, whatever the author makes of it
            self._run.scope.violation = violation
        return violation
