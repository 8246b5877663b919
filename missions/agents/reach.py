"""Which registered tools an agent's patterns take in, and what they do to the world.

Reads the registry of this process and the agents; contacts no server. What matches nothing that is known here counts as
a tool that writes, as an MCP tool without annotations does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from missions.agents.calls import AGENT_PREFIX
from missions.agents.offered import specs_of
from missions.governance import EffectClass
from missions.models import Agent
from missions.tools.registry import all_tools
from missions.tools.spec import ToolSpec

AGENT: Final = AGENT_PREFIX  # before the name of another agent that is used as a tool


def agent_tool(name: str) -> str:
    """How an agent is named among the tools of another one."""
    return f"{AGENT}{name}"


def within(patterns: Sequence[str]) -> list[ToolSpec]:
    """The registered tools that an agent with these patterns is offered, by name."""
    return specs_of(_of_tools(patterns))


def unmatched(patterns: Sequence[str]) -> list[str]:
    """The patterns that take in no registered tool."""
    names = [tool.name for tool in all_tools() if tool.for_agents]
    return [one for one in _of_tools(patterns) if not any(fnmatchcase(name, one) for name in names)]


def unknown_agents(patterns: Sequence[str]) -> list[str]:
    """The agents named as tools that are not there, as they are named."""
    named = [one for one in patterns if one.startswith(AGENT)]
    there = {agent_tool(name) for name in Agent.objects.values_list("name", flat=True)} if named else set()
    return [one for one in named if one not in there]


def writing(patterns: Sequence[str]) -> list[str]:
    """What writes among what the patterns take in: names of tools, and patterns that match nothing known."""
    tools = [tool.name for tool in within(patterns) if tool.effect is not EffectClass.READ]
    return [*tools, *unmatched(patterns)]


def _of_tools(patterns: Iterable[str]) -> list[str]:
    return [one for one in patterns if not one.startswith(AGENT)]
