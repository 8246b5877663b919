"""The tools for missions: start, look, list, signal. Each is one request to the REST API (`rest`)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from missions.mcp_server import rest
from missions.mcp_server.offers import Told, offer

Json = dict[str, Any]
States = Literal[
    "ready", "running", "sleeping", "waiting", "paused", "completed", "failed", "cancelled", "exported"
]
Key = Annotated[
    str | None,
    Field(
        max_length=200,
        description="Your own idempotency key. Send one always: the same call with the same key counts once, so that a "
        "call whose answer was lost can simply be repeated.",
    ),
]
MissionId = Annotated[UUID, Field(description="The mission's `id`.")]
Cursor = Annotated[str | None, Field(description="The `next` of the page before.")]
Limit = Annotated[int | None, Field(ge=1, le=100, description="Rows a page; 50 by default.")]


class WaitingFor(Told):
    """What a parked mission waits for."""

    kind: str = Field(description="decision, signal, mcp, timer, child, mission, limit, stop, budget or tool")
    what: str = Field(description="The id of the decision or mission, else a name.")


class Verdict(Told):
    """What a mission returned."""

    verdict: str
    summary: str
    data: Json


class Mission(Told):
    """A mission: a durable run of a mission type."""

    id: str
    type: str
    title: str
    state: States
    waiting_for: WaitingFor | None = Field(description="Null unless it is parked.")
    verdict: Verdict | None = Field(description="Null unless it completed.")
    error: str | None = Field(description="Null unless it failed.")


class Missions(Told):
    """A page of missions."""

    results: list[Mission]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class Receipt(Told):
    """What became of a signal."""

    mission: str
    name: str
    delivered: bool = Field(description="False where this key was delivered before, and nothing changed.")


@offer("Start a mission")
async def start_mission(
    type: Annotated[str, Field(max_length=100, description="The name of a mission type.")],
    input: Annotated[Json, Field(description="What the mission works on; it has to fit the type's input schema.")],
    key: Key = None,
    title: Annotated[str | None, Field(max_length=200, description="What people read in lists.")] = None,
    start_at: Annotated[dt.datetime | None, Field(description="Not before this time, with its offset.")] = None,
    deadline_at: Annotated[dt.datetime | None, Field(description="It is stopped if it still runs then.")] = None,
    priority: Annotated[int | None, Field(ge=-100, le=100, description="Higher runs first.")] = None,
    after: Annotated[list[UUID] | None, Field(description="Only once these missions have ended.")] = None,
    on_failure: Annotated[str | None, Field(description="What to do where one of those fails.")] = None,
    budget: Annotated[
        Json | None, Field(description="Limits over those of the type: steps, effects, wall (seconds), cost, tokens.")
    ] = None,
    data_classes: Annotated[list[str] | None, Field(description="A clearance that is less than the type's.")] = None,
) -> Mission:
    """Start a mission and return it at once. It runs on its own for seconds or weeks; look after it with get_mission
    until `state` is completed (then read `verdict`), failed or cancelled. With the same key and input again: the
    same mission."""
    return Mission.model_validate(await rest.post(
        "missions", type=type, input=input, key=key, title=title, start_at=_text(start_at),
        deadline_at=_text(deadline_at), priority=priority, after=[str(uid) for uid in after] if after else None,
        on_failure=on_failure, budget=budget, data_classes=data_classes,
    ))


@offer("Look at a mission", reads=True)
async def get_mission(mission_id: MissionId) -> Mission:
    """A mission as it stands: state, what it waits for, and its verdict or error once it has ended."""
    return Mission.model_validate(await rest.get(f"missions/{mission_id}"))


@offer("List missions", reads=True)
async def list_missions(
    state: Annotated[States | None, Field(description="Only missions in this state.")] = None,
    type: Annotated[str | None, Field(description="Only missions of this type.")] = None,
    waiting_on: Annotated[
        str | None,
        Field(description="decision, signal, mcp, timer, child, mission, limit, budget or tool; or as signal:NAME."),
    ] = None,
    q: Annotated[str | None, Field(description="Part of the title, or the id.")] = None,
    cursor: Cursor = None,
    limit: Limit = None,
) -> Missions:
    """The missions that you may see, newest first, page by page."""
    found = await rest.get("missions", state=state, type=type, waiting_on=waiting_on, q=q, cursor=cursor, limit=limit)
    return Missions.model_validate(found)


@offer("Send a signal")
async def send_signal(
    mission_id: MissionId,
    name: Annotated[str, Field(max_length=200, description="The signal that the mission waits for, or will.")],
    payload: Annotated[Json | None, Field(description="What the mission is told.")] = None,
    key: Key = None,
) -> Receipt:
    """Tell a mission something. A signal that comes before the mission waits for it is kept until it does; one for a
    mission that has ended is refused (`mission_ended`)."""
    return Receipt.model_validate(
        await rest.post(f"missions/{mission_id}/signals", name=name, payload=payload, key=key)
    )


def _text(moment: dt.datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
