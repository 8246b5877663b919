"""The intent that a decision about an action stands for: as it was asked about, or with other arguments."""

from __future__ import annotations

from approvals.models import Decision
from missions import data_classes
from missions.errors import UnknownTool
from missions.governance import EffectClass, Intent, Json, RetrySafety
from missions.tools.registry import get_tool
from missions.tools.spec import ToolSpec


def tool_of(decision: Decision) -> ToolSpec | None:
    """The tool of the action; None where this process does not know it."""
    try:
        return get_tool(decision.action["tool"])
    except UnknownTool:
        return None


def intent_of(decision: Decision, args: Json | None = None) -> Intent:
    """What policy is to rule on, as far as the decision keeps it. It must have a mission.

    What only the tool knows is asked of the registry, as the mission asks before it acts; of a tool that is not known
    here the most careful is assumed.
    """
    mission, action, facts, spec = decision.mission, decision.action, decision.facts, tool_of(decision)
    assert mission is not None
    return Intent(
        mission_uid=mission.uid, mission_type=mission.type, mission_title=mission.brief.title,
        owner_id=mission.brief.started_by_id, tool=action["tool"], args=action["args"] if args is None else args,
        effect_class=EffectClass(action["effect_class"]),
        retry_safety=spec.retry_safety if spec else RetrySafety.MANUAL,
        reversible=bool(spec.compensate if spec else facts.get("compensate")),
        data_class=spec.data_class if spec else "", agent=str(facts.get("agent") or ""),
        clearance=tuple(facts.get("clearance", data_classes.DEFAULT)), untrusted=tuple(facts.get("untrusted", ())),
    )
