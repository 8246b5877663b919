"""Which version of an agent is in force: putting one there, going back to an older one, retiring the agent.

Each verb owns its transaction under the agent's row lock, and writes down who did it, when, why, and from what to what.
A mission that works already reads the change at its agent's next call. Who may is asked before
(`missions.web.access`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.db import transaction

from missions.agents import isolation
from missions.agents.versions import locked
from missions.engine.clock import database_now
from missions.errors import InvalidInput, StandfastError, UnknownAgent
from missions.models import Activation, Agent, AgentVersion
from missions.tools import learning

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)
WHY_CHARACTERS: Final = 2000


class WrongAgentState(StandfastError):
    """What is in force does not allow this; nothing was changed."""

    code = "wrong_agent_state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Who does it, and why. `seen` is the version in force as they saw it; None: whichever it is, 0: none."""

    by: User | None
    via: str  # console, api, demo
    why: str
    seen: int | None = None


def activate(name: str, number: int, deed: Deed) -> Activation:
    """Put this version in force. The one that is so already stays, and its activation is answered.

    Raises UnknownAgent, InvalidInput, IsolationAbsent, WrongAgentState (another is in force than was seen).
    """
    _check(deed)
    with transaction.atomic():
        agent = locked(name)
        version = _version(agent, number)
        if agent.active_id == version.pk and (known := _latest(agent)) is not None:
            return known
        _check_seen(agent, deed)
        older = agent.active is not None and number < agent.active.number
        returns = older and agent.activations.filter(version=version).exists()
        what = Activation.What.ROLLED_BACK if returns else Activation.What.ACTIVATED
        return _done(agent, what, version, deed)


def roll_back(name: str, deed: Deed, *, to: int | None = None) -> Activation:
    """Put a version back in force that was so before: `to`, or the newest that is older than the current one.

    Without `to` it wants `deed.seen`, so that a repeat goes back once. Where `to` is in force already, its activation
    is answered. Raises UnknownAgent, InvalidInput, IsolationAbsent, WrongAgentState (nothing to go back to, never in
    force, another is in force than was seen).
    """
    _check(deed)
    if to is None and deed.seen is None:
        message = "Say which version to go back to, or (in `seen`) which one is in force as you see it."
        raise InvalidInput(message, errors=[{"field": "to", "message": message}])
    with transaction.atomic():
        agent = locked(name)
        if to is None:
            _check_seen(agent, deed)
        version = _earlier(agent, to)
        if agent.active_id == version.pk and (known := _latest(agent)) is not None:
            return known
        _check_seen(agent, deed)
        return _done(agent, Activation.What.ROLLED_BACK, version, deed)


def retire(name: str, deed: Deed) -> Activation:
    """Take the agent out of force; a later activation brings it back. Raises UnknownAgent, InvalidInput,
    WrongAgentState (nothing is in force)."""
    _check(deed)
    with transaction.atomic():
        agent = locked(name)
        if agent.active is None:
            raise WrongAgentState(f"No version of {name} is in force.", agent=name)
        _check_seen(agent, deed)
        return _done(agent, Activation.What.RETIRED, None, deed)


def _earlier(agent: Agent, to: int | None) -> AgentVersion:
    """The version to go back to."""
    if to is not None:
        version = _version(agent, to)
        if not agent.activations.filter(version=version).exists():
            raise WrongAgentState(f"{version} was never in force; activate it instead.", agent=agent.name)
        return version
    been = agent.versions.select_related("agent").filter(activations__isnull=False)
    if agent.active is None:  # retired: the last one
        found = been.order_by("-activations__pk").first()
    else:
        found = been.filter(number__lt=agent.active.number).order_by("-number").first()
    if found is None:
        raise WrongAgentState(f"{agent.name} has no earlier version that was in force.", agent=agent.name)
    return found


def _done(agent: Agent, what: str, version: AgentVersion | None, deed: Deed) -> Activation:
    """Write it. The caller holds the agent's row. Raises IsolationAbsent."""
    learning.refresh()  # what it may call may have come, or be another, since this process looked
    found = isolation.demand(version) if version is not None else None
    previous, agent.active = agent.active, version
    agent.retired_at = database_now() if version is None else None
    agent.save(update_fields=["active", "retired_at"])
    done = Activation.objects.create(
        agent=agent, what=what, version=version, previous=previous, by=deed.by.get_username() if deed.by else "",
        via=deed.via, why=deed.why.strip(), isolation=found.as_json() if found is not None else {},
    )
    said = {"action": "agent_activation", "agent": agent.name, "what": str(what), "version": str(version or "")}
    logger.info("An agent has another version", extra=said)
    return done


def _version(agent: Agent, number: int) -> AgentVersion:
    version = agent.versions.select_related("agent").filter(number=number).first()
    if version is None:
        raise UnknownAgent(f"The agent {agent.name} has no version {number}.", agent=agent.name)
    return version


def _latest(agent: Agent) -> Activation | None:
    return agent.activations.order_by("-pk").first()


def _check(deed: Deed) -> None:
    if not 0 < len(deed.why.strip()) <= WHY_CHARACTERS or "\x00" in deed.why:
        message = f"Say why, in at most {WHY_CHARACTERS:,} characters."
        raise InvalidInput("Say why.", errors=[{"field": "reason", "message": message}])


def _check_seen(agent: Agent, deed: Deed) -> None:
    now = agent.active.number if agent.active is not None else 0
    if deed.seen is not None and deed.seen != now:
        stands = f"{agent.active} is in force" if agent.active is not None else "none is in force"
        raise WrongAgentState(f"Since you looked, that has changed: {stands} now. Look again.", agent=agent.name)
