"""Recording how a tool call ended, with the workspace as it left it, and what goes with that entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from missions.effects import charging, dispatch, heartbeats
from missions.effects.calling import Calling
from missions.effects.progress import ENDS
from missions.engine import codec
from missions.engine.writes import Side
from missions.errors import WorkspaceRefused
from missions.governance import Json
from missions.models import Kind

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

REFUSALS = (Kind.RULING, Kind.ANSWERED)  # entries that may end a call before its intent


async def done(op: ToolRun, outcome: Json, calling: Calling, **more: Any) -> None:
    """Record a call's outcome; a workspace that can not be kept makes the result unusable, never undone."""
    words = {"sentence": op.sentence, "effect_class": op.spec.effect, **more}
    try:
        async with calling.recording() as (extra, side):
            await op.record(Kind.OUTCOME, side=side, **words, **outcome, **extra)
    except (WorkspaceRefused, OSError) as error:
        digest = outcome.get("result_digest") or codec.digest_of(outcome.get("result"))
        left = dispatch.unusable(digest, error)
        await op.record(Kind.OUTCOME, side=calling.dropping(), **words, **left)


def along(op: ToolRun, entry_kind: Kind, payload: Json) -> Iterator[Side]:
    """The statements that go with the entry that ends a call, or one generation of it: no cursor, charges settled."""
    if entry_kind is Kind.OUTCOME:
        yield from _with_outcome(op, payload["state"])
    elif entry_kind in REFUSALS and (key := charging.key_before_intent(op)) and _ends(op, entry_kind, payload):
        yield charging.settling(key, happened=False)


def _ends(op: ToolRun, entry_kind: Kind, payload: Json) -> bool:
    """Whether this entry is the call's last; the progress itself is left as it is."""
    after = replace(op.progress)
    return after.fold(entry_kind, payload) and after.phase in ENDS


def _with_outcome(op: ToolRun, state: str) -> Iterator[Side]:
    """Where nobody knows for good what became of it, its charges stay held."""
    repeated = op.progress.tries or op.progress.uncertain
    if repeated:
        yield heartbeats.dropping(op.run, op.path)
    if state != "unknown" and (key := op.charged or op.progress.charged):
        yield charging.settling(key, happened=state == "done", seconds=None if repeated else op.took)
