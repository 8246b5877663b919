"""A step: a function of the author whose result is recorded once.

A step that a crash cut off before its record runs again; only tools may change the world.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from missions.effects import charging
from missions.effects.budgeting import allow
from missions.effects.calling import Calling, takes_call, within
from missions.engine import codec, guard
from missions.engine.branches import Interruptible, Wait, being_cancelled
from missions.engine.checkpoints import seconds_of
from missions.engine.claims import Recorded
from missions.engine.run import Run
from missions.engine.verdict import LEAKED, RetryPolicy
from missions.engine.writes import Draft, Side
from missions.errors import BudgetExhausted, Guarded, StepFailed, StepTimedOut
from missions.governance import Json
from missions.models import Kind
from missions.storage.workspaces import note
from missions.tools.calls import StepCall

Span = float | dt.timedelta
STEP = Kind.STEP  # looking a member up takes as long as hashing an input, until Python 3.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a step may take, and be silent, in seconds; None for as long as it wants."""

    timeout: float | None = None
    silence: float | None = None

    def __bool__(self) -> bool:
        return self.timeout is not None or self.silence is not None


UNLIMITED = Limits()


def limits_of(timeout: Span | None, heartbeat_timeout: Span | None) -> Limits:
    """The limits that an author gave. Raises ValueError for a span of nothing."""
    spans = (None if span is None else seconds_of(span) for span in (timeout, heartbeat_timeout))
    limits = Limits(**dict(zip(("timeout", "silence"), spans, strict=True)))
    if any(seconds is not None and seconds <= 0 for seconds in (limits.timeout, limits.silence)):
        raise ValueError("a time-out wants more than 0 seconds")
    return limits


class StepRun:
    """One call `m.step(...)` at one key path."""

    __slots__ = (
        "_args", "_begun", "_charged", "_failed_at", "_failures", "_function", "_input_hash", "_kwargs", "_limits",
        "_path", "_resume_at", "_retry", "_run", "_takes_call", "_title", "_took", "_words",
    )

    def __init__(
        self, run: Run, path: str, name: str, function: Callable[..., Any], args: tuple[Any, ...],
        kwargs: dict[str, Any], retry: RetryPolicy, limits: Limits = UNLIMITED,
    ) -> None:
        self._run, self._path, self._retry, self._limits = run, path, retry, limits
        self._function, self._args, self._kwargs = function, args, kwargs
        self._input_hash = codec.input_hash([args, kwargs] if args or kwargs else None)
        self._title = codec.title_of(function, name)
        self._words: Json = {"name": name, "title": self._title}
        self._takes_call = takes_call(function)
        self._failures, self._charged, self._begun, self._took = 0, "", 0.0, 0.0
        self._failed_at: dt.datetime | None = None  # the first time
        self._resume_at: dt.datetime | None = None

    async def perform(self) -> Any:
        """The recorded result in the function's declared type.

        Raises StepFailed once the tries are used up, BudgetExhausted where there is no budget for it.
        """
        run = self._run
        try:
            while True:
                entry = None if run.goes_live else await run.recorded(self._path, self._input_hash, self._told)
                if entry is None:
                    if self._resume_at is not None and not run.is_past(self._resume_at):
                        await run.wait(self._path, Wait(label="timer", wake_at=self._resume_at))
                    elif (done := await self._try()) is not None:
                        return self._result(done[0], codec.load(done[1])["result"])
                elif entry.kind == STEP:
                    payload = entry.payload
                    note(run, payload)
                    return self._result(entry.seq, payload["result"])
                else:
                    self._fold(entry)
        finally:
            if run.ledger.reserved:
                run.ledger.reserved.pop(self._path, None)

    def _told(self) -> Json:
        given = {name: some for name, some in (("args", self._args), ("kwargs", self._kwargs)) if some}
        return {"name": self._words["name"], **codec.load(codec.dump(given))}

    def _fold(self, entry: Recorded) -> None:
        if entry.kind == Kind.STEP_FAILED:
            raise self._failed(entry.payload["error"])
        if entry.kind != Kind.BACKOFF:
            self._run.unexpected(entry, self._path)
        self._failures, self._resume_at = self._failures + 1, dt.datetime.fromisoformat(entry.payload["resume_at"])
        self._failed_at = self._failed_at or entry.recorded_at

    def _result(self, seq: int, value: Any) -> Any:
        self._run.evidence.append({"seq": seq, "title": self._title, "path": self._path})
        return codec.restore(codec.result_type(self._function), value)

    async def _append(self, kind: Kind, body: bytes, side: Sequence[Side] = ()) -> int:
        if self._charged:
            self._took += time.monotonic() - self._begun
            if kind != Kind.BACKOFF:
                side = (*side, charging.settling(self._charged, happened=True, seconds=self._took))
        draft = Draft(kind=kind, path=self._path, payload=body, input_hash=self._input_hash)
        return await self._run.append(draft, side=side)

    async def _try(self) -> tuple[int, bytes] | None:
        """Run the function: the entry's seq and payload, or None after recording that it is tried again."""
        if not self._run.ledger.unlimited or self._run.owner.rules().budgets:
            await self._within_budget()
        calling = Calling(self._run, self._path) if self._takes_call or self._limits else None
        try:
            if calling is not None:
                return await self._attended(calling)
            with Interruptible():
                value = await self._plainly()
            body = codec.dump({**self._words, "result": value})
        except (Exception, *LEAKED) as error:  # what leaks out of the function ends the step, never the worker
            if being_cancelled():
                raise
            await self._put_off(error, calling)
            return None
        return await self._append(STEP, body), body

    async def _within_budget(self) -> None:
        try:
            await allow(self._run, "steps", self._path)
            self._charged = await charging.step_begins(self._run, self._path, self._limits.timeout)
            self._begun = time.monotonic()
        except BudgetExhausted as error:
            told = {"type": error.code, "message": str(error)}
            await self._append(Kind.STEP_FAILED, codec.dump({**self._words, "error": told}))
            raise

    async def _plainly(self) -> Any:
        function = self._function
        if not codec.is_async(function):
            return await self._invoke()
        with guard.Guarding(guard.STEP, function):
            return await function(*self._args, **self._kwargs)

    def _invoke(self, *first: Any, begin: Callable[[], None] = lambda: None) -> Awaitable[Any]:
        function, args, kwargs = self._function, self._args, self._kwargs
        scope = guard.Guarding(guard.STEP, function)
        if codec.is_async(function):

            async def run_here() -> Any:
                begin()
                with scope:
                    return await function(*first, *args, **kwargs)

            return run_here()

        def run_in_thread() -> Any:
            begin()
            return function(*first, *args, **kwargs)

        return self._run.owner.in_thread(guard.inside(scope, run_in_thread))

    async def _attended(self, calling: Calling) -> tuple[int, bytes]:
        """Run a function that may report or be timed out, and record its result with what goes with it."""
        limits = self._limits
        first: tuple[StepCall, ...] = ()
        try:
            if self._takes_call:
                fresh = self._run.claimed.attempt == 1 and not self._failures
                await calling.begin(fresh=fresh, workspace=True)
                first = (calling.step_call(self._deadline()),)
            work = self._invoke(*first, begin=calling.reporter.begin)
            with Interruptible():
                value = await (within(work, calling.reporter, limits.timeout, limits.silence) if limits else work)
            async with calling.recording() as (extra, side):
                body = codec.dump({**self._words, "result": value, **extra})
                return await self._append(STEP, body, side), body
        finally:
            calling.close()

    def _deadline(self) -> dt.datetime | None:
        seconds = self._limits.timeout
        return None if seconds is None else self._run.clock.now() + dt.timedelta(seconds=seconds)

    async def _put_off(self, error: BaseException, calling: Calling | None) -> None:
        now = self._run.clock.now()
        self._failures, self._failed_at = self._failures + 1, self._failed_at or now
        name = error.code if isinstance(error, StepTimedOut) else type(error).__name__
        told = {"type": name, "message": codec.words(error)}
        spent = (now - self._failed_at).total_seconds()
        delay = None if isinstance(error, Guarded) else self._retry.again_in(error, self._failures, spent)
        if delay is None:
            side = calling.dropping() if calling is not None else ()
            await self._append(Kind.STEP_FAILED, codec.dump({**self._words, "error": told}), side)
            raise self._failed(told) from error
        self._resume_at = now + dt.timedelta(seconds=delay)
        why = {"why": told["message"], "count": self._failures, "resume_at": self._resume_at.isoformat()}
        await self._append(Kind.BACKOFF, codec.dump({**self._words, **why}))

    def _failed(self, error: Json) -> StepFailed | BudgetExhausted | Guarded:
        if error["type"] == BudgetExhausted.code:
            return BudgetExhausted(error["message"])
        if error["type"] != Guarded.__name__:
            return StepFailed(error["message"], type=error["type"])
        violation = Guarded(error["message"])
        if self._run.scope is not None:  # it ends the mission, whatever the author makes of it
            self._run.scope.violation = violation
        return violation
