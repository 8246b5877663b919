"""Calling a tool, and telling apart what its answer means.

Nothing here writes to the journal. The call is shielded from cancellation: a worker that is fenced in mid-call lets it
end, and what it answered then goes to the mission's mailbox as evidence.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from missions.effects.calling import Calling, within
from missions.effects.heartbeats import Reporter
from missions.effects.saying import said
from missions.engine import codec
from missions.engine.branches import being_cancelled
from missions.engine.run import Run
from missions.errors import (
    OutcomeUnknown,
    PayloadTooLarge,
    SecretMissing,
    StandfastError,
    StepTimedOut,
    Suspended,
    ToolFailed,
    TryLater,
    Unserialisable,
)
from missions.governance import Json
from missions.secrets import references
from missions.secrets.redacting import redact
from missions.tools.spec import ProbeResult, ToolCall, ToolSpec

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

RESULT_BYTES = codec.STORE_BYTES - 64 * 1024  # the outcome's words beside it fit too
AT_ONCE_BYTES = 128 * 1024  # of a result that is searched for secrets on the loop; more would hold it up
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


async def kept(result: Any) -> Json:
    """The part of an outcome entry that holds the result; an unusable result is noted, never lost as a success.

    No secret stands in it: what a tool echoes is taken out before anybody, the mission included, sees it.
    """
    try:
        body = codec.dump(result, limit=RESULT_BYTES)
        plain = codec.load(body)
        clean = redact(plain) if len(body) <= AT_ONCE_BYTES else await asyncio.to_thread(redact, plain)
        if clean != plain:
            codec.dump(clean, limit=RESULT_BYTES)
        return {"state": "done", "result": clean}
    except (PayloadTooLarge, Unserialisable) as error:
        digest = hashlib.sha256(repr(result).encode("utf-8", "replace")).hexdigest()
        return unusable(digest, error)


def unusable(digest: str, error: Exception) -> Json:
    """The part of an outcome entry for what happened, but left a result that can not be kept."""
    return {"state": "done", "usable": False, "result_digest": digest, "error": _error(error)}


def _error(error: BaseException) -> Json:
    code = error.facts.get("code") if isinstance(error, StandfastError) else None
    return {"type": code or type(error).__name__, "message": said(error)}


def _unless_fenced(run: Run, function: Callable[[], Any]) -> Callable[[], Any]:
    """A call that waited for a free thread starts only if its worker was not fenced meanwhile."""

    def start() -> Any:
        if run.poisoned or run.lane.session.lost:
            raise TryLater("The worker was fenced before the call was made.")
        return function()

    return start


def _start(run: Run, spec: ToolSpec, call: ToolCall, args: Json, reporter: Reporter) -> Awaitable[Any]:
    def begin() -> Any:
        reporter.begin()
        return spec.function(call, **args)

    awaited: Awaitable[Any] = begin() if spec.is_async else run.owner.in_thread(_unless_fenced(run, begin))
    return awaited


async def _invoke(
    run: Run, spec: ToolSpec, call: ToolCall, args: Json, seconds: float, reporter: Reporter
) -> Answered:
    silence = spec.heartbeat_timeout_seconds
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            work = _start(run, spec, call, args, reporter)
            return Done(await kept(await (work if silence is None else within(work, reporter, None, silence))))
    except StepTimedOut as error:
        return Unknown(said(error))
    except TryLater as error:
        return NotYet(said(error), error.retry_after_seconds)
    except ToolFailed as error:
        return Failed(_error(error))
    except TimeoutError:
        return Unknown(f"No answer within {seconds:.0f} s.")
    except OutcomeUnknown as error:
        return Unknown(said(error))
    except (Exception, SystemExit, asyncio.CancelledError) as error:  # the task is the call's own: none cancels it
        return Unknown(f"{type(error).__name__}: {said(error)}")


def call_of(op: ToolRun) -> ToolCall:
    """What the tool function gets beside its arguments."""
    at, actor = op.run.claimed, op.actor
    return ToolCall(
        idempotency_key=op.progress.key, deadline=op.progress.deadline or op.deadline(), mission_id=str(at.uid),
        attempt=at.attempt, agent=actor.agent, egress=actor.egress,
    )


async def call_tool(run: Run, spec: ToolSpec, call: ToolCall, args: Json, calling: Calling) -> Answered:
    """Call a tool once, until `call.deadline`. Starts nothing where this worker can see that it was fenced.

    Its secrets are resolved here and nowhere else; where one is missing, nothing was done.
    """
    try:
        await reveal(run, spec, call, args)
    except SecretMissing as error:
        return Failed(_error(error))
    seconds = call.deadline.timestamp() - run.clock.seconds()
    if not run.lane.session.is_open():
        raise Suspended
    calling.equip(call, workspace=spec.workspace)
    work = _invoke(run, spec, call, args, seconds, calling.reporter)
    task = asyncio.get_running_loop().create_task(work)
    _calls.add(task)
    run.owner.calling(task, seconds + GRACE_SECONDS)
    task.add_done_callback(_calls.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled() and not being_cancelled():  # the tool cancelled its own task as it ended
            return Unknown("The call was cancelled.")
        if call.idempotency_key:
            task.add_done_callback(lambda done: _late(run, call.idempotency_key, done))
        raise


async def reveal(run: Run, spec: ToolSpec, call: ToolCall, args: Json) -> None:
    """Hand the call the values of the secrets that it needs. Raises SecretMissing."""
    if wanted := spec.secrets_of(args):
        call.secrets = await run.owner.in_database(references.resolve_all, wanted)


def _late(run: Run, key: str, task: asyncio.Task[Answered]) -> None:
    if not task.cancelled():
        keep_evidence(run, key, task.result())


def keep_evidence(run: Run, key: str, answered: Answered) -> None:
    """The mission has left memory before this could be recorded: a success goes to its mailbox."""
    if isinstance(answered, Done):
        run.owner.report_late(run.claimed.id, key, _deliverable(answered.outcome))


def _deliverable(outcome: Json) -> Json:
    """An outcome that the mailbox takes: a result over its limit is noted as unusable, never lost as a success."""
    try:
        codec.dump(outcome, limit=codec.INPUT_BYTES)
    except PayloadTooLarge as error:
        return unusable(codec.digest_of(outcome.get("result")), error)
    return outcome


async def probe(run: Run, spec: ToolSpec, call: ToolCall, args: Json) -> ProbeResult:
    """Ask whether a call happened. A probe that fails can not tell."""
    if spec.probe is None:
        return ProbeResult(found=None, detail="The tool has no probe.")
    try:
        async with asyncio.timeout(spec.timeout_seconds):
            await reveal(run, spec, call, args)
            found = await spec.probe(call, **args)
            return replace(found, reference=redact(found.reference), detail=redact(found.detail))
    except TimeoutError:
        return ProbeResult(found=None, detail=f"The probe gave no answer within {spec.timeout_seconds:.0f} s.")
    except (Exception, SystemExit) as error:
        return ProbeResult(found=None, detail=f"The probe failed: {said(error)}")


def open_calls() -> int:
    """How many calls are under way in this process, those of missions that left memory included."""
    return len(_calls)
