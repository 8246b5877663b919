"""The bundled mission that replays a policy version on history, and the tools that it consists of.

Read only: it is ruled on like any mission, calls nothing outside, and writes nothing but its own findings. Each part is
a call of its own in the journal, so whoever goes on after a worker's death goes on with the part that was cut off.
Policy admins start it, and the command line; whoever else does finds it refused.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from approvals.models import Replay
from approvals.policies.document import InvalidPolicy
from approvals.simulation import candidates, closing, replaying, rights, wording
from approvals.simulation.candidates import UnknownPolicy
from approvals.simulation.history import OWN_TYPE
from approvals.simulation.windows import Window
from missions.authoring import Context, ToolCall, ToolFailed, Verdict, mission, tool
from missions.models import Brief

PARTS_A_CHAPTER: Final = 100
STARTED_BY_HOST: Final = "command"


class ReplayRequest(BaseModel):
    """What a replay is started with. `part` is where a chapter goes on."""

    model_config = ConfigDict(extra="forbid")

    policy: str = Field(min_length=1, max_length=100, title="Policy")
    version: int = Field(ge=1, lt=2**31, title="Version")
    window: Window = Window()
    mission_type: str = Field(default="", max_length=100, title="Only missions of type")
    part: int = Field(default=0, ge=0, title="Parts done")


@tool(name="policies.open_replay", effect="read", title="Looked up what is replayed", timeout=300.0, for_agents=False)
def open_replay(
    call: ToolCall, policy: str, version: int, window: dict[str, Any], mission_type: str
) -> dict[str, Any]:
    """Pin the versions and the stretch of history, and count its rulings."""
    uid = _permitted(call)
    try:
        chosen = Window.of(window).usual()
        replay = replaying.open_run(uid, candidates.version_of(policy, version), chosen, mission_type)
    except (UnknownPolicy, InvalidPolicy, ValidationError) as error:
        raise ToolFailed(str(error), code=getattr(error, "code", "invalid_input")) from error
    return {"total": replay.total, "beside": replay.beside}


@tool(
    name="policies.replay_part", effect="read", title="Ruled on a part of history again", timeout=120.0,
    for_agents=False,
)
def replay_part(call: ToolCall, number: int) -> dict[str, Any]:
    """Judge the next rulings and count what differs; one part at a time, about a second each."""
    replay = _replay(call)
    call.heartbeat(progress={"done": replay.done, "total": replay.total})
    try:
        part = replaying.run_part(replay, number)
    except (UnknownPolicy, InvalidPolicy) as error:
        raise ToolFailed(str(error), code=error.code) from error
    return {"rulings": part.counts["read"], "differing": sum(part.counts["changes"].values()), "more": part.more}


@tool(name="policies.close_replay", effect="read", title="Added up what differs", timeout=120.0, for_agents=False)
def close_replay(call: ToolCall) -> dict[str, Any]:
    """Sum up all parts."""
    replay = closing.close_run(_replay(call))
    assert replay.summary is not None
    return {
        "actions": replay.summary["actions"], "differing": replay.summary["differing"], "loosens": replay.loosens,
        "told": wording.in_short(replay.summary),
    }


@mission(OWN_TYPE, version=1, title="Policy replay")
async def replay_on_history(m: Context, request: ReplayRequest) -> Verdict:
    """Rule again on what missions did, with a version in the place of the one in force, and count what differs."""
    wish = request.model_dump(mode="json", by_alias=True, exclude={"part"})
    number = request.part
    if number == 0:
        opened = await m.tool("policies.open_replay", **wish)
        await m.observe(f"{opened['total']:,} rulings are made again with {request.policy} v{request.version}.")
    more = True
    while more:
        number += 1
        part = await m.tool("policies.replay_part", number=number)
        more = part["more"]
        if more and number % PARTS_A_CHAPTER == 0:
            await m.continue_as({**wish, "part": number})
    found = await m.tool("policies.close_replay")
    return Verdict("replayed", summary=found.pop("told"), data=found)


def _permitted(call: ToolCall) -> uuid.UUID:
    """The mission's id. Raises ToolFailed unless a policy admin started it, or somebody at the host."""
    uid = uuid.UUID(call.mission_id)
    brief = Brief.objects.select_related("started_by").get(mission__uid=uid)
    user = brief.started_by
    if not (rights.may_replay(user) if user is not None else brief.started_via == STARTED_BY_HOST):
        raise ToolFailed("Only policy admins have policies replayed on history.", code="not_permitted")
    return uid


def _replay(call: ToolCall) -> Replay:
    found = Replay.objects.select_related("version__policy").filter(pk=uuid.UUID(call.mission_id)).first()
    if found is None or found.total is None:
        raise ToolFailed("This mission has opened no replay.", code="no_replay")
    return found
