"""What an agent is under one version, read from the database as plain frozen data.

Synchronous ORM: from the engine's loop call it through `run.owner.in_database`. Decides nothing about who may use an
agent; a stop button on it is the effects layer's business.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from missions.engine import codec
from missions.errors import AgentInactive, UnknownAgent
from missions.governance import Json
from missions.models import Agent, AgentVersion

SAID = (
    "title", "instructions", "llm", "tools", "data_classes", "budget", "memory_scope", "egress", "isolation",
)  # the fields of a version that make it what it is, in the order of pages and diffs


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An agent under one version."""

    agent: str
    version: int
    title: str
    instructions: str
    llm: tuple[str, ...] = ()  # PROVIDER/MODEL, the first first; empty: LLM_CHAIN
    tools: tuple[str, ...] = ()  # names or globs of registered tools; `agent:NAME` for another agent
    data_classes: tuple[str, ...] = ()
    budget: Json  # turns (int), tokens (int), cost (decimal text), each optional: of one call of the agent
    memory_scope: str = "mission"  # mission, agent, organisation
    egress: tuple[str, ...] = ()  # HOST:PORT
    isolation: str = ""  # "" or "sandbox"
    digest: str  # sha256 in hex over what it says

    def as_json(self) -> Json:
        """Plain JSON, for the journal."""
        return asdict(self)


def active(name: str) -> Identity:
    """The version of this agent that is in force. Raises UnknownAgent, AgentInactive."""
    agent = _named(name)
    if agent.active is None:
        why = "is retired" if agent.retired_at else "has no version in force"
        raise AgentInactive(f"The agent {name} {why}; activate a version of it on its page.", agent=name)
    return _identity(agent, agent.active)


def in_force() -> list[tuple[str, str]]:
    """The agents that may be given work, by name: name, and what it is called."""
    rows = Agent.objects.filter(active__isnull=False).select_related("active").order_by("name")
    return [(agent.name, f"{agent.active.title} ({agent.name})") for agent in rows if agent.active is not None]


def version_of(name: str, number: int) -> Identity:
    """This version of the agent, in force or not. Raises UnknownAgent where there is no such agent or version."""
    agent = _named(name)
    version = agent.versions.filter(number=number).first()
    if version is None:
        raise UnknownAgent(f"The agent {name} has no version {number}.", agent=name)
    return _identity(agent, version)


def digest_of(said: dict[str, Any]) -> str:
    """sha256 in hex over the fields `SAID` of a version, as JSON's own types."""
    return codec.digest_of({name: said[name] for name in SAID})


def _named(name: str) -> Agent:
    agent = Agent.objects.select_related("active").filter(name=name).first()
    if agent is None:
        raise UnknownAgent(f"There is no agent {name!r}; agents are made on the page Agents.", agent=name)
    return agent


def _identity(agent: Agent, version: AgentVersion) -> Identity:
    return Identity(
        agent=agent.name, version=version.number, title=version.title, instructions=version.instructions,
        llm=tuple(version.llm), tools=tuple(version.tools), data_classes=tuple(version.data_classes),
        budget=version.budget, memory_scope=version.memory_scope, egress=tuple(version.egress),
        isolation=version.isolation, digest=version.digest,
    )
