"""The last look before an LLM is asked: under which version the agent goes on, and what people have said meanwhile.

Live only; what was seen is recorded, with the answer or in an entry of its own, and replay looks at nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from missions.agents import engagements, goals, identities, words
from missions.agents.identities import Identity
from missions.engine import codec
from missions.engine.writes import Draft, Side
from missions.errors import AgentInactive, MisusedContext, Suspended, UnknownAgent
from missions.governance import Json
from missions.models import Kind

if TYPE_CHECKING:
    from missions.agents.running import AgentRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was seen. `heard` counts all that the agent has been told of amendments and of guidance."""

    identity: Identity | None = None  # where it goes on under another version than before
    said: list[str] = field(default_factory=list)
    heard: Json = field(default_factory=dict)


async def look(op: AgentRun) -> Looked:
    """What holds now. Raises UnknownAgent; AgentInactive where it has never worked here."""
    if op.adhoc:
        return Looked()
    said, heard = await _said(op)
    return Looked(identity=await _identity(op), said=said, heard=heard)


async def _identity(op: AgentRun) -> Identity | None:
    try:
        now: Identity = await op.run.owner.in_database(identities.active, op.name)
    except AgentInactive:
        if op.identity is None:
            raise
        return None  # it was retired meanwhile: what it has begun it ends; a stop holds it up
    return now if op.identity is None or now.version != op.identity.version else None


async def version_of(op: AgentRun, recorded: Json) -> Identity:
    """The version that an entry names. Where it is not known or another one, as after an import, people look."""
    try:
        found: Identity = await op.run.owner.in_database(identities.version_of, op.name, recorded["version"])
    except UnknownAgent as error:
        op.run.pause("agent unknown", codec.words(error))
        raise Suspended from error
    if found.digest != recorded["digest"]:
        op.run.pause("agent changed", f"{op.name} v{found.version} is not here what it was where this was recorded.")
        raise Suspended
    return found


async def _said(op: AgentRun) -> tuple[list[str], Json]:
    """What people said since, amendments of the goal first; an agent under another one hears it from that."""
    if op.errand.depth:
        return [], {}
    amendments: list[str] = await op.run.owner.in_database(_amendments, op.run.claimed.id)
    claimed = op.run.claimed
    guidance = [text for number, text in sorted(claimed.guidance.items()) if text and number <= claimed.timeline]
    fresh = [words.amended(text) for text in amendments[op.heard.get("amendments", 0):]]
    fresh += [words.guided(text) for text in guidance[op.heard.get("guidance", 0):]]
    return fresh, {"amendments": len(amendments), "guidance": len(guidance)}


def _amendments(mission_id: int) -> list[str]:
    return [one.text for one in goals.current(mission_id)]


def entry_of(op: AgentRun, path: str, before: Identity | None) -> Draft:
    """The entry from which on the agent works under the version that it has now."""
    now = _known(op)
    body = {
        "agent": op.name, "version": now.version, "title": now.title, "digest": now.digest,
        **({"from": before.version} if before is not None else {}),
    }
    return Draft(kind=Kind.AGENT, path=path, payload=codec.dump(body))


def engaged(op: AgentRun) -> Sequence[Side]:
    """What notes beside that entry that this mission runs under the version."""
    return (engagements.engaged(_known(op)),)


def _known(op: AgentRun) -> Identity:
    if op.identity is None:
        raise MisusedContext("An agent without an identity can not work.")
    return op.identity
