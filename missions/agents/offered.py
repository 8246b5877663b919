"""The tools that an agent is offered, as an LLM can name them.

Providers take letters, digits, `_` and `-`, 64 at most; registered names have dots. What is offered follows the
version of the agent: names or globs of registered tools, and `agent:NAME` for another agent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from missions.agents.calls import AGENT_PREFIX
from missions.governance import EffectClass, Json
from missions.tools.registry import all_tools
from missions.tools.spec import ToolSpec

LONGEST = 64
RESERVED = "final_result"  # under which the library takes an answer of a type
BARRED = re.compile(r"[^a-zA-Z0-9_-]")
ERRAND_SCHEMA: Json = {
    "type": "object", "additionalProperties": False, "required": ["goal"],
    "properties": {
        "goal": {"type": "string", "description": "What it is to do, with all that it needs to know."},
        "inputs": {"type": "object", "description": "Facts that belong to it."},
    },
}
CLASSES = {EffectClass.WRITE: " It changes something.", EffectClass.IRREVERSIBLE: " It can not be undone."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One tool as the LLM sees it."""

    wire: str  # the name for the LLM
    name: str  # the registered one, or agent:NAME
    description: str
    schema: Json


def specs_of(patterns: Sequence[str]) -> list[ToolSpec]:
    """The registered tools that these names and globs stand for, by name; never what agents may not call."""
    return [spec for spec in all_tools() if spec.for_agents and any(fnmatchcase(spec.name, one) for one in patterns)]


def offerable() -> list[ToolSpec]:
    """All that an agent may be offered, by name."""
    return specs_of(["*"])


def offers(patterns: Sequence[str]) -> list[Offer]:
    """What an agent with these tools is offered; wire names are unique."""
    agents = sorted(one for one in set(patterns) if one.startswith(AGENT_PREFIX))
    found = [_of_tool(spec) for spec in specs_of(patterns)] + [_of_agent(name) for name in agents]
    return list(_distinct(found))


def _of_tool(spec: ToolSpec) -> Offer:
    told = f"{spec.title}.{CLASSES.get(spec.effect, '')}"
    return Offer(wire=_wire(spec.name), name=spec.name, description=told, schema=spec.args_schema)


def _of_agent(name: str) -> Offer:
    told = f"Have the agent {name.removeprefix(AGENT_PREFIX)} do a part of the work, and get its answer."
    return Offer(wire=_wire(name), name=name, description=told, schema=ERRAND_SCHEMA)


def _wire(name: str) -> str:
    plain = BARRED.sub("-", name)
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST - 9]}-{_mark(name)}"


def _mark(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _distinct(found: Iterable[Offer]) -> Iterable[Offer]:
    taken = {RESERVED}
    for offer in found:
        wire = offer.wire if offer.wire not in taken else f"{offer.wire[:LONGEST - 9]}-{_mark(offer.name)}"
        taken.add(wire)
        yield Offer(wire=wire, name=offer.name, description=offer.description, schema=offer.schema)
