"""Tools as people see them: what each promises, its limits, its circuit, and whether a stop names one that is known.

Reads only; contacts no server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from missions.engine import limits
from missions.engine.registry import all_types
from missions.models import Agent, Circuit, Limit, Scope, Stop, StopScope
from missions.tools import learning
from missions.tools.catalogue import server_of
from missions.tools.registry import all_tools
from missions.tools.spec import ToolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool with what holds for it now; all attributes of its spec are its own."""

    spec: ToolSpec
    circuit: Circuit
    limits: Sequence[Limit]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.spec, name)

    @property
    def server(self) -> str:
        """The MCP server behind it; empty where it is a function here."""
        return server_of(self.spec)


def tools() -> list[Tool]:
    """All tools known here, by name. A few statements."""
    return _dressed(learning.current_tools())


def tool(name: str) -> Tool:
    """One tool. Raises UnknownTool."""
    return _dressed([learning.current_tool(name)])[0]


def _dressed(specs: Sequence[ToolSpec]) -> list[Tool]:
    circuits = Circuit.objects.in_bulk()
    rows = list(Limit.objects.filter(scope=Scope.TOOL).order_by("name"))
    return [
        Tool(
            spec=spec, circuit=circuits.get(spec.name) or Circuit(tool=spec.name),
            limits=[row for row in rows if row.name in (spec.name, limits.ALL)],
        )
        for spec in specs
    ]


def is_known(stop: Stop) -> bool:
    """Whether a tool, agent or mission type of this name is known here; true of what is told apart by no registry.

    Of tools, as this process last learnt (`learning.refresh`). What is not known can be stopped all the same: tools of
    other systems are, and a name may come with the next deploy.
    """
    if stop.scope == StopScope.TOOL:
        return any(spec.name == stop.name for spec in all_tools())
    if stop.scope == StopScope.AGENT:
        return Agent.objects.filter(name=stop.name).exists()
    if stop.scope == StopScope.MISSION_TYPE:
        return any(kind.name == stop.name for kind in all_types())
    return True
