"""`mission.start`: another mission, in the name of whoever started this one, once for each key.

The key of the effect is the idempotency key of the start, so a call that is repeated finds the mission that it started.
What may be started, policy says by the argument `type`; the new mission may touch no more than the one that starts it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from missions.authoring import InvalidInput, ToolCall, ToolFailed, tool
from missions.engine import crashpoints
from missions.engine.accounts import clearance_of
from missions.engine.history import entries
from missions.engine.starting import TITLE_LENGTH, Wish, begin
from missions.errors import KeyReused, MissionArchived, PayloadTooLarge, UnknownType
from missions.models import Mission

Type = Annotated[str, Field(min_length=1, max_length=100)]
Title = Annotated[str, Field(max_length=TITLE_LENGTH)]


@tool(name="mission.start", effect="write", retry_safety="keyed", sentence="Start a mission: {type}")
def mission_start(call: ToolCall, type: Type, input: dict[str, Any], title: Title = "") -> dict[str, Any]:
    """Start another mission, which goes on by itself.

    Answers its id as `mission`. It belongs to the same person; nothing waits for its end.
    """
    mine = Mission.objects.select_related("brief__started_by").get(uid=call.mission_id)
    (first,) = entries(mine.pk, limit=1)
    wish = Wish(
        type=type, input=input, title=title, key=f"effect:{call.idempotency_key}", started_by=mine.brief.started_by,
        via="mission", effects_off=mine.effects_off, at_most=clearance_of(first.payload),
    )
    crashpoints.reach("call_sent")
    uid = _begun(wish)
    crashpoints.reach("call_answered")
    return {"mission": uid, "type": type}


def _begun(wish: Wish) -> str:
    """The id of the mission, whether it was started now or before. Raises ToolFailed."""
    try:
        return str(begin(wish)[0].uid)
    except MissionArchived as known:  # it was started, has ended and has left
        return str(known.facts["mission"])
    except InvalidInput as error:
        told = "; ".join(f"{one['field']}: {one['message']}" for one in error.errors)
        raise ToolFailed(f"{error} {told}".strip(), code=error.code) from error
    except (UnknownType, KeyReused, PayloadTooLarge) as error:
        raise ToolFailed(str(error), code=error.code) from error
