"""Calls that only read: no intent, since nothing can be left in doubt, and a branch that is cut off need not wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from missions.effects import admission, dispatch, endings
from missions.effects.calling import Calling, attended
from missions.engine import codec
from missions.engine.branches import Interruptible
from missions.engine.readings import Reading

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

TRIES = 5  # of a read whose answer was no answer; definite refusals are waited out as long as they last


async def read(op: ToolRun) -> None:
    """Call the tool once, and record its answer or that it is asked again."""
    await admission.admitted(op)
    call = dispatch.call_of(op)
    fresh = op.run.claimed.attempt == 1 and not op.progress.tries
    async with attended(op.run, op.path, op.spec, fresh=fresh) as calling:
        with Interruptible():
            begun = time.monotonic()
            answered = await dispatch.call_tool(op.run, op.spec, call, op.args, calling)
            op.took = time.monotonic() - begun
        await _take(op, answered, calling)
    await admission.answered(op, answered)


async def _take(op: ToolRun, answered: dispatch.Answered, calling: Calling) -> None:
    if isinstance(answered, dispatch.Done):
        known = {"version": codec.digest_of(answered.outcome["result"])} if "result" in answered.outcome else {}
        await endings.done(op, answered.outcome, calling, args=op.args, **known)
    elif isinstance(answered, dispatch.NotYet):
        await op.put_off(answered.why, answered.retry_after_seconds)
    elif isinstance(answered, dispatch.Unknown) and op.progress.tries + 1 < TRIES:
        await op.put_off(answered.why)
    else:
        no_answer = {"type": "no_answer", "message": getattr(answered, "why", "")}
        await op.failed(answered.error if isinstance(answered, dispatch.Failed) else no_answer, calling)


def reading_of(op: ToolRun) -> Reading:
    """What a read that was answered has read; entries of an older version name neither arguments nor version."""
    outcome = op.progress.outcome
    version = outcome.get("version") or codec.digest_of(outcome.get("result"))
    return Reading(source=op.spec.name, args=outcome.get("args", op.raw), seq=op.seq, version=version, at=op.at)
