"""Calling a tool, and telling apart what its answer means.

Nothing here writes to the journal. The call is shielded from cancellation: a worker that is fenced in mid-call lets it
end, and what it answered then goes to the mission's mailbox as evidence.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

from missions.engine import codec
from missions.engine.run import Run
from missions.errors import (
    OutcomeUnknown,
    PayloadTooLarge,
    StandfastError,
    Suspended,
    ToolFailed,
    TryLater,
    Unserialisable,
)
from missions.governance import Json
from missions.tools.spec import ProbeResult, ToolCall, ToolSpec

GRACE_SECONDS = 1.0  # a tool that keeps the deadline itself can say more than a time-out here could
_calls: set[asyncio.Task[Any]] = set()  # tasks that nobody may collect while they run


@dataclass(frozen=True, slots=True)
class Done:
    """It happened. `outcome` is what the journal keeps: the result, or why the result can not be kept."""

    outcome: Json


@dataclass(frozen=True, slots=True)
class NotYet:
    """It certainly did not happen; ask again later."""

    why: str
    retry_after_seconds: float | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The tool declared an error; it certainly changed nothing."""

    error: Json


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether it happened."""

    why: str


Answered = Done | NotYet | Failed | Unknown


def kept(result: Any) -> Json:
    """The part of an outcome entry that holds the result; an unusable result is noted, never lost as a success."""
    try:
        return {"state": "done", "result": codec.load(codec.dump(result))}
    except (PayloadTooLarge, Unserialisable) as error:
        digest = hashlib.sha256(repr(result).encode()).hexdigest()
        return {"state": "done", "usable": False, "result_digest": digest, "error": _error(error)}


def _error(error: BaseException) -> Json:
    code = error.facts.get("code") if isinstance(error, StandfastError) else None
    return {"type": code or type(error).__name__, "message": str(error) or type(error).__name__}


async def _invoke(run: Run, spec: ToolSpec, call: ToolCall, args: Json, seconds: float) -> Answered:
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            if spec.is_async:
                return Done(kept(await spec.function(call, **args)))
            return Done(kept(await run.owner.in_thread(lambda: spec.function(call, **args))))
    except TryLater as error:
        return NotYet(str(error), error.retry_after_seconds)
    except ToolFailed as error:
        return Failed(_error(error))
    except TimeoutError:
        return Unknown(f"No answer within {seconds:.0f} s.")
    except OutcomeUnknown as error:
        return Unknown(str(error))
    except Exception as error:
        return Unknown(f"{type(error).__name__}: {error}")


async def call_tool(run: Run, spec: ToolSpec, call: ToolCall, args: Json) -> Answered:
    """Call a tool once, until `call.deadline`. Starts nothing where this worker can see that it was fenced."""
    seconds = call.deadline.timestamp() - run.clock.seconds()
    if not run.lane.session.is_open():
        raise Suspended
    task = asyncio.get_running_loop().create_task(_invoke(run, spec, call, args, seconds))
    _calls.add(task)
    task.add_done_callback(_calls.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if call.idempotency_key:
            task.add_done_callback(lambda done: _late(run, call.idempotency_key, done))
        raise


def _late(run: Run, key: str, task: asyncio.Task[Answered]) -> None:
    """The mission has left memory meanwhile: keep a definite answer as evidence."""
    if not task.cancelled() and isinstance(answered := task.result(), Done):
        run.owner.report_late(run.claimed.id, key, answered.outcome)


async def probe(run: Run, spec: ToolSpec, call: ToolCall, args: Json) -> ProbeResult:
    """Ask whether a call happened. A probe that fails can not tell."""
    if spec.probe is None:
        return ProbeResult(found=None, detail="The tool has no probe.")
    try:
        async with asyncio.timeout(spec.timeout_seconds):
            return await spec.probe(call, **args)
    except TimeoutError:
        return ProbeResult(found=None, detail=f"The probe gave no answer within {spec.timeout_seconds:.0f} s.")
    except Exception as error:
        return ProbeResult(found=None, detail=f"The probe failed: {error}")


def open_calls() -> int:
    """How many calls are under way in this process, those of missions that left memory included."""
    return len(_calls)
