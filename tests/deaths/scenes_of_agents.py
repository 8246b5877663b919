"""Scenes of agents: turns and calls, another agent below, limits and quotas, a chapter that hands over.

What the LLM says is a function of what it is told, and of how often this mission asked for the same before.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any

from missions.authoring import AgentFailed, Context, UnknownAgent, Verdict
from missions.engine import limits
from tests import thinkers
from tests.deaths.scene import Given, scene
from tests.llm_servers import Asked, Call, Say, Status, rate_limited, unauthorised

_asked: Counter[str] = Counter()  # in the process of the LLM


def people() -> None:
    """The agents; once a database."""
    thinkers.version("stage-lead", tools=["stage.read", "stage.keyed", "agent:stage-hand"], budget={"turns": 3})
    thinkers.version("stage-hand", tools=["stage.keyed"])
    limits.put("agent", "stage-hand", concurrency=1)  # two of them take turns


@scene()
async def thinks(m: Context, given: Given) -> Verdict:
    """An agent that does everything that an agent may do."""
    goal = f"Lead {m.mission_id}"
    result = await m.agent("stage-lead", goal=goal, turns=3, carried=given.get("carried"))
    if result.carried is not None:
        await m.continue_as({**given, "carried": dataclasses.asdict(result.carried)})
    return Verdict("done", data={"said": result.output})


@scene(period_budgets={"tokens": 1_000_000})
async def asks_once(m: Context, given: Given) -> Verdict:
    """Single requests, one of them refused for good; their tokens are counted."""
    try:
        await m.llm("Say nothing.")
    except AgentFailed:
        await m.observe("It says nothing.")
    try:
        await m.agent("stage-nobody", goal="Be there.")
    except UnknownAgent:
        await m.observe("Nobody is there.")
    return Verdict("done", data={"said": await m.llm("Say it.")})


def script(asked: Asked) -> Any:
    """What the LLM says."""
    told = json.dumps(asked.messages)
    goal = next(str(one["content"]) for one in asked.messages if one["role"] == "user")
    if "Write the summary" in goal:
        return "So far, so good."
    if "Say" in goal:
        return unauthorised() if "nothing" in goal else "It."
    turn = told.count('"role": "assistant"') + (3 if "So far, so good" in told else 0)
    _asked[(place := f"{told[:400]} {turn}")] += 1
    if "Part" in goal:
        hand = goal.partition("Part ")[2].split()[0]
        return "My part is done." if turn else Say(calls=(Call("stage-keyed", {"what": f"by hand {hand}"}),))
    if turn == 0 and _asked[place] == 1:
        return rate_limited(0.01)
    if turn == 1 and _asked[place] == 1:
        return Status(402, type="insufficient_quota", code="insufficient_quota")
    return (
        Say(calls=(Call("stage-read", {"what": "read"}), Call("stage-keyed", {"what": "keyed"}))),
        Say(calls=(*(Call("agent-stage-hand", {"goal": f"Part {hand}"}) for hand in ("one", "two")), Call("no-such"))),
        Say(calls=(Call("stage-read", {"what": "again"}), Call("stage-read", {"what": 5}))), "All is done.",
    )[min(turn, 3)]
