"""The agent mission: hand a goal to an agent, and walk away.

The agent works chapter by chapter: after some turns it writes a summary of its own, and a new chapter goes on from
that, so that the mission can be resumed as fast after a thousand turns as after ten.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from missions.authoring import Context, Verdict, mission

CHAPTER_TURNS = 25
SUMMARY_CHARACTERS = 500


class AgentRequest(BaseModel):
    """What an agent is handed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    agent: str = Field(min_length=1, max_length=100, title="Agent", description="One of those on the page Agents.")
    goal: str = Field(
        min_length=1, max_length=20_000, title="Goal", description="What is to be achieved, and when it is done.",
    )
    inputs: dict[str, Any] | None = Field(default=None, title="Inputs", description="Facts for it, as a JSON object.")
    carried: dict[str, Any] | None = None  # what the chapter before handed over

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """What people may fill in: not what only chapters hand on."""
        told = handler.resolve_ref_schema(handler(schema))
        told["properties"].pop("carried", None)
        return told


@mission("agent", version=1, title="Agent's work", titled="{agent}: {goal}")
async def agent(m: Context, request: AgentRequest) -> Verdict:
    """Have an agent work towards a goal, with the tools and limits of its version."""
    result = await m.agent(
        request.agent, goal=request.goal, inputs=request.inputs, turns=CHAPTER_TURNS, carried=request.carried
    )
    if result.carried is not None:
        await m.continue_as(request.model_copy(update={"carried": dataclasses.asdict(result.carried)}))
    answer = str(result.output)
    data = {
        "answer": answer, "turns": result.turns, "tokens": result.tokens, "cost": str(result.cost),
        "version": result.version, "untrusted": list(result.untrusted),
    }
    short = answer if len(answer) <= SUMMARY_CHARACTERS else f"{answer[:SUMMARY_CHARACTERS - 1]}…"
    return Verdict("answered", summary=short, data=data)
