"""Undoing one effect: first find out whether it happened, then call the tool that takes it back.

Both are tool calls under the control's own path, ruled on like any other. The undoing's key comes from the effect's
own, so that it happens once, however often a rollback is cut off or asked for again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from missions.control.program import Program
from missions.effects import keys
from missions.effects.call import ToolRun
from missions.effects.progress import Phase, Progress
from missions.engine import codec, crashpoints, history
from missions.engine.branches import Wait
from missions.engine.writes import Index, SettleEffect
from missions.errors import ResultUnusable, StandfastError, TryLater, UnknownTool
from missions.governance import Choice, Json
from missions.models import Effect, EffectState, Entry, Kind
from missions.tools.registry import get_tool
from missions.tools.spec import ToolSpec

UNASKED_SECONDS = 5.0  # until a tool's server is asked for its schema again
CHOICES = (
    Choice(value="retry", label="Try to undo it again"),
    Choice(value="leave", label="Leave it done and go on"),
)


class Settling(ToolRun):
    """Finds out what became of an effect whose outcome nobody knows. Nothing new is begun."""

    def __init__(self, program: Program, path: str, spec: ToolSpec, args: Json, progress: Progress) -> None:
        super().__init__(program.run, path, spec, args)
        self.progress = progress
        progress.phase = progress.stage  # what it was about to read again is read anew
        if progress.phase is Phase.ANSWER:  # the question was the mission's, and is withdrawn
            progress.phase = Phase.DOUBT

    async def settle(self) -> None:
        """Return once it is done, not done, or left in doubt by a person."""
        while self.progress.unsettled:
            entry = await self.run.recorded(self.path, self.input_hash)
            if entry is None:
                await self._act()
            elif not self._fold(entry.kind, entry.payload):
                self.run.unexpected(entry, self.path)

    async def _back_off(self) -> None:
        """It was put off and certainly did nothing; so it stays."""
        if self.progress.uncertain:
            await super()._back_off()
            return
        why = "It was put off, and is wanted no more."
        await self.record(
            Kind.OUTCOME, settle=EffectState.NOT_DONE, key=self.progress.key, state="not_done", again="call",
            error={"type": "not_done", "message": why}, sentence=self.sentence, effect_class=self.spec.effect,
        )


class Undoing(ToolRun):
    """Calls the compensation of an effect."""

    def __init__(self, program: Program, path: str, spec: ToolSpec, args: Json, undone_key: str) -> None:
        super().__init__(program.run, path, spec, args)
        self._undone_key = undone_key

    def key_of(self, generation: int) -> str:
        return keys.undo_key(self._undone_key, generation)

    def also(self, entry_kind: Kind, payload: Json) -> Iterable[Index]:
        if entry_kind == Kind.OUTCOME and payload["state"] == "done":
            yield SettleEffect(key=self._undone_key, state=EffectState.UNDONE)


async def settle(program: Program, effect: Json) -> None:
    """Find out whether an effect happened, where nobody knows."""
    progress, args = await program.run.owner.in_database(_progress_of, program.mission_id, effect)
    if progress.unsettled and (spec := _tool(effect["tool"])) is not None:
        await Settling(program, program.branch.path(f"settle:{effect['tool']}"), spec, args, progress).settle()


def _tool(name: str) -> ToolSpec | None:
    try:
        return get_tool(name)
    except UnknownTool:
        return None  # it stays in doubt, where people find it


def _progress_of(mission_id: int, effect: Json) -> tuple[Progress, Json]:
    """How far the mission itself had come with this effect, and its arguments."""
    rows = Entry.objects.filter(mission_id=mission_id, path=effect["path"], timeline=effect["timeline"])
    progress, args = Progress(), {}
    for entry in history.decode(list(rows.filter(seq__gte=effect["begun"]).order_by("seq"))):
        progress.fold(entry.kind, entry.payload)
        if entry.kind == Kind.INTENT:
            args = entry.payload["args"]
    return progress, args


async def undo(program: Program, effect: Json) -> bool:
    """Take an effect back; False where people leave it done. A refusal or a failure asks them."""
    while True:
        found = await program.note("to-undo", _to_undo, effect["id"])
        if found["state"] != EffectState.DONE:
            return True
        spec = get_tool(effect["undo"])
        spec = spec if spec.is_gone else await _ready(program, spec)  # a call of what is gone is refused, and told
        args = spec.undo_args(found["args"], found["result"])
        path = program.branch.path(f"undo:{effect['tool']}")
        fault = await _fault_of(Undoing(program, path, spec, args, effect["key"]))
        if not fault:
            program.changed = True
            crashpoints.reach("after_undo")
            return True
        if await _ask(program, effect, fault) != "retry":
            return False


async def _fault_of(undoing: Undoing) -> str:
    """Call the compensation; why the effect stands still, or nothing where it is undone."""
    try:
        await undoing.perform()
    except StandfastError as error:
        # An answer that is of no use comes after the deed: the effect is undone.
        return "" if isinstance(error, ResultUnusable) else codec.words(error) or error.code
    return ""


async def _ready(program: Program, spec: ToolSpec) -> ToolSpec:
    """The tool once its arguments are known; its server may be away for a while."""
    while True:
        try:
            await spec.ready()
            return spec
        except TryLater as error:
            seconds = error.retry_after_seconds or UNASKED_SECONDS
            wake_at = program.run.clock.now() + dt.timedelta(seconds=seconds)
            await program.run.wait(f"ready:{spec.name}", Wait(label=f"tool:{spec.name}", wake_at=wake_at))


def _to_undo(effect_id: str) -> Json:
    effect = Effect.objects.get(pk=effect_id)
    rows = Entry.objects.filter(mission_id=effect.mission_id, seq__in=(effect.seq, effect.outcome_seq or 0))
    told = {entry.seq: entry.payload for entry in history.decode(list(rows))}
    outcome: Json = told.get(effect.outcome_seq or 0, {})
    return {"state": effect.state, "args": told[effect.seq]["args"], "result": outcome.get("result")}


async def _ask(program: Program, effect: Json, why: str) -> str:
    choice, _ = await program.ask(
        "not-undone", "rollback", f"This could not be undone: {effect['sentence']}", CHOICES,
        {"effect": effect["id"], "seq": effect["seq"], "why": why}, why,
    )
    return choice


def plan_of(effect: Effect, sentence: str, undo_tool: str, begun: int) -> dict[str, Any]:
    """What a program notes of an effect that it is about to undo."""
    return {
        "id": str(effect.pk), "key": effect.key, "seq": effect.seq, "begun": begun, "path": effect.path,
        "timeline": effect.timeline, "tool": effect.tool, "undo": undo_tool, "sentence": sentence,
        "state": effect.state,
    }
