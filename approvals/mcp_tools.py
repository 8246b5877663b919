"""The MCP tools for decisions: open, list, look. Each is one request to the REST API; voting is for people alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from missions.mcp_server import rest
from missions.mcp_server.mission_tools import Cursor, Key, Limit
from missions.mcp_server.offers import Told, offer

Json = dict[str, Any]
States = Literal[
    "open", "approved", "rejected", "changes_requested", "expired", "withdrawn", "superseded"
]
Span = Annotated[str | None, Field(max_length=20, description="As 30m, 4h or 1d.")]


class Given(BaseModel):
    """A part of a decision that is asked for; nothing unknown."""

    model_config = ConfigDict(extra="forbid")


class Action(Given):
    """What you would do, once you may. Policies rule on it."""

    tool: str = Field(default="", max_length=200, description="The name of what you would call.")
    args: Json = Field(default_factory=dict, description="Exactly what you would call it with; people see it.")
    effect_class: Literal["read", "write", "irreversible"] = "write"


class Choice(Given):
    """One way to answer."""

    value: str = Field(max_length=50)
    label: str = Field(max_length=200)


class Tier(Given):
    """A group to ask beside those whom policies name."""

    group: str = Field(max_length=150)
    quorum: int = Field(default=1, ge=1, description="How many of its members have to approve.")


class Answers(Given):
    """What an answer looks like that is neither consent nor a choice."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)
    form: Literal["text", "schema"]
    wanted: Json | None = Field(default=None, alias="schema", description="For `schema`: the JSON Schema of an object.")


class Resolution(Told):
    """How a decision was settled."""

    verdict: str = Field(description="approve, reject, or how else it ended.")
    by: list[str] = Field(description="Whose votes settled it.")


class Decision(Told):
    """A decision: what people are asked, and what came of it."""

    id: str
    kind: str
    state: States
    sentence: str
    digest: str = Field(description="Stands for exactly what is asked. Act on an approval of this digest only.")
    resolution: Resolution | None = Field(default=None, description="Null while it is open.")


class Decisions(Told):
    """A page of decisions."""

    results: list[Decision]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


@offer("Ask people to decide")
async def open_decision(
    sentence: Annotated[str, Field(max_length=500, description="What people decide, in plain words.")],
    action: Annotated[Action | None, Field(description="What you would do. None: a plain question.")] = None,
    evidence: Annotated[
        list[Json] | None,
        Field(max_length=50, description="What people are shown; mark what you wrote with `author: agent`."),
    ] = None,
    choices: Annotated[list[Choice] | None, Field(max_length=20, description="An approval picks one.")] = None,
    answers: Annotated[Answers | None, Field(description="Of a question without choices.")] = None,
    tiers: Annotated[list[Tier] | None, Field(max_length=5, description="Groups to ask.")] = None,
    due_in: Span = None,
    expires_in: Span = None,
    on_expiry: Annotated[Literal["reject", "escalate", "hold"] | None, Field(description="What expiry does.")] = None,
    callback_url: Annotated[str | None, Field(max_length=2000, description="Where the answer is sent, signed.")] = None,
    source: Annotated[str | None, Field(max_length=100, description="What you call yourself; people see it.")] = None,
    key: Key = None,
) -> Decision:
    """Ask people whether you may do something, or a question. Policies may allow or deny it at once; else it waits for
    people, for hours or days: look at it with get_decision until `state` is no longer open. Do only what was approved.
    """
    return Decision.model_validate(await rest.post(
        "decisions", sentence=sentence, action=_plain(action), evidence=evidence, choices=_all(choices),
        answers=_plain(answers), tiers=_all(tiers), due_in=due_in, expires_in=expires_in, on_expiry=on_expiry,
        callback_url=callback_url, source=source, key=key,
    ))


@offer("List decisions", reads=True)
async def list_decisions(
    state: Annotated[States | None, Field(description="Only decisions in this state.")] = None,
    kind: Annotated[str | None, Field(description="Only of this kind, as action, question or external.")] = None,
    view: Annotated[
        str | None, Field(description="A saved view of the queue: open, due_soon, unclaimed, in_doubt, done …")
    ] = None,
    tier: Annotated[str | None, Field(description="Only those that wait for this group.")] = None,
    q: Annotated[str | None, Field(description="Part of the sentence or of the mission's title.")] = None,
    cursor: Cursor = None,
    limit: Limit = None,
) -> Decisions:
    """The decisions that you may see: open ones by due time, settled ones by their end, a mixed list newest first."""
    return Decisions.model_validate(
        await rest.get("decisions", state=state, kind=kind, view=view, tier=tier, q=q, cursor=cursor, limit=limit)
    )


@offer("Look at a decision", reads=True)
async def get_decision(
    decision_id: Annotated[UUID, Field(description="The decision's `id`.")],
) -> Decision:
    """A decision as it stands: its state, who was asked, and once it is settled by whom, how and why."""
    return Decision.model_validate(await rest.get(f"decisions/{decision_id}"))


def _plain(given: BaseModel | None) -> Json | None:
    return given.model_dump(mode="json", exclude_none=True) if given is not None else None


def _all(given: list[Any] | None) -> list[Json | None] | None:
    return [_plain(one) for one in given] if given is not None else None
