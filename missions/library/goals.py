"""The tool that amends a mission's goal. Called by a control alone; policy rules on it as on any write."""

from __future__ import annotations

from typing import Any

from missions.agents import goals
from missions.agents.goals import Wanted
from missions.authoring import ToolCall, ToolFailed, tool


@tool(
    name=goals.TOOL, effect="write", retry_safety="keyed", title="Amend the goal",
    for_agents=False, sentence="Amend the goal of this mission: {goal}",
)
def amend_goal(call: ToolCall, goal: str, reason: str, by: str, control: int) -> dict[str, Any]:
    """Write the next version of the goal; the mission's agents are told it at their next turn."""
    if call.agent:
        raise ToolFailed("Only people amend the goal of a mission.", code="not_a_person")
    made = goals.amend(call.mission_id, Wanted(control=control, text=goal, reason=reason, by=by))
    return {"version": made.version, "goal": made.text}
