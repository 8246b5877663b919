"""Recording that a tool call happened, with the workspace as it left it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from missions.effects import dispatch
from missions.effects.calling import Calling
from missions.engine import codec
from missions.errors import WorkspaceRefused
from missions.governance import Json
from missions.models import Kind

if TYPE_CHECKING:
    from missions.effects.call import ToolRun


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
