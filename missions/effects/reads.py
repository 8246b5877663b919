"""Calls that only read: no intent, since nothing can be left in doubt, and a branch that is cut off need not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from missions.effects import dispatch
from missions.engine.branches import interruptible
from missions.models import Kind
from missions.tools.spec import ToolCall

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

READ_TRIES = 5  # of a read whose answer was no answer; definite refusals are waited out as long as they last


async def read(op: ToolRun) -> None:
    """Call the tool once, and record its answer or that it is asked again."""
    run, deadline = op.run, op.deadline()
    call = ToolCall(deadline=deadline, mission_id=str(run.claimed.uid), attempt=run.claimed.attempt)
    with interruptible():
        answered = await dispatch.call_tool(run, op.spec, call, op.args)
    if isinstance(answered, dispatch.Done):
        outcome = answered.outcome
        await op.record(Kind.OUTCOME, sentence=op.sentence, effect_class=op.spec.effect, **outcome)
    elif isinstance(answered, dispatch.NotYet):
        await op.put_off(answered.why, answered.retry_after_seconds)
    elif isinstance(answered, dispatch.Unknown) and op.progress.tries + 1 < READ_TRIES:
        await op.put_off(answered.why)
    else:
        no_answer = {"type": "no_answer", "message": getattr(answered, "why", "")}
        await op.failed(answered.error if isinstance(answered, dispatch.Failed) else no_answer)
