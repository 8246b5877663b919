"""Before a call is ruled on, and again before it is made: its arguments fit, and its tool is what people accepted.

A tool on a server may be offered differently from one day to the next. What differs from the accepted form is blocked:
the mission waits for people (`missions.engine.tool_forms` asks them, once for all missions), and where they keep it
blocked the call is refused. An effect that has its intent was prepared before; the server is asked again before the
call, never to find out what became of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from missions.effects import intents
from missions.effects.progress import Phase
from missions.effects.results import told_of
from missions.engine import tool_forms
from missions.engine.branches import Wait
from missions.engine.tool_forms import Hold, Sighting
from missions.errors import InvalidInput, ToolChanged, ToolFailed, TryLater
from missions.governance import Ruling, RulingOutcome
from missions.models import Kind

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

CHANGED = ("tool_changed",)  # the rules of a ruling that no policy made


async def prepared(op: ToolRun) -> bool:
    """Whether the call can be made as it is asked for; one that can not has that for its outcome, on the record.

    So replay says the same of it, also where the tool's schema is another one by then. Raises ToolChanged.
    """
    try:
        await _prepare(op)
    except (InvalidInput, ToolFailed) as error:
        if op.progress.phase is not Phase.RULE or op.progress.edited is not None:
            raise
        await op.record(Kind.OUTCOME, state="failed", error=told_of(error), effect_class=op.spec.effect)
        return False
    return True


async def _prepare(op: ToolRun) -> None:
    """Check the arguments against the tool's schema, once; its server may have to be asked for it.

    Those that people approved in the place of the author's are checked in their turn. Raises InvalidInput, ToolChanged,
    ToolFailed.
    """
    wanted = op.raw if op.progress.edited is None else op.progress.edited
    if op.prepared is not wanted:
        if not op.progress.unsettled:
            await settled(op)
        op.args, op.prepared = op.spec.check_args(wanted), wanted


async def settled(op: ToolRun) -> None:
    """Return once the tool's server offers it as it was accepted. Raises ToolChanged, ToolFailed."""
    if op.spec.sight is None or op.spec.adopt is None:
        return
    tries = 0
    while True:
        try:
            seen = await op.spec.sight()
        except TryLater as error:
            tries += 1
            wake_at = op.later(error.retry_after_seconds, tries)
            await op.run.wait(op.path, Wait(label=f"tool:{op.spec.name}", wake_at=wake_at))
            continue
        except ToolFailed as error:
            if op.progress.unsettled:  # no answer of the author's: its effect has to be settled first
                raise ToolChanged(str(error)) from error
            raise
        hold = await _hold(op, seen)
        if hold is None:
            op.spec.adopt(seen)
            return
        await _wait(op, hold)


async def _hold(op: ToolRun, seen: Sighting) -> Hold | None:
    """What keeps the call back; mostly a look into memory."""
    if op.run.owner.rules().forms.get(seen.tool) == seen.digest:
        return None
    hold: Hold | None = await op.run.owner.in_database(tool_forms.look, seen, op.run.claimed.id)
    op.run.check()
    return hold


async def _wait(op: ToolRun, hold: Hold) -> None:
    """Wait for what people say. Raises ToolChanged where they have said no."""
    if hold.refused:
        raise ToolChanged(f"The server of {op.spec.name} offers it differently than it was accepted, and people keep "
                          "it blocked.")
    if op.run.inbox.take(hold.signal) is None:
        await op.run.wait(op.path, Wait(label=f"changed:{op.spec.name}", signals=(hold.signal,)))
        op.run.inbox.take(hold.signal)


async def stands(op: ToolRun) -> bool:
    """The last look before an effect's call: is the tool still as it was accepted? Where not, the call is put off."""
    if op.spec.sight is None:
        return True
    try:
        seen = await op.spec.sight()
    except TryLater as error:
        await op.put_off(str(error), error.retry_after_seconds)
        return False
    except ToolFailed as error:
        raise ToolChanged(str(error)) from error
    if await _hold(op, seen) is None:
        return True
    await op.put_off("Its server has changed the tool since it was accepted.", 0.0)
    return False


async def refuse(op: ToolRun, changed: ToolChanged) -> None:
    """Record that the call is refused, as policy's own refusals are."""
    if op.progress.unsettled:
        await intents.refused(op, str(changed), "its tool has changed")
        return
    ruling = Ruling(outcome=RulingOutcome.DENY, reason=str(changed), rules=CHANGED)
    await op.record(Kind.RULING, phase="tool", **ruling.as_json())
