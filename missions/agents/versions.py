"""Making agents and their versions. A version is kept as it was said and binds nothing before it is put in force.

Each verb owns its transaction. Who may is asked before (`missions.web.access`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db import IntegrityError, transaction

from missions.agents import identities
from missions.agents.checking import Checked, check
from missions.errors import InvalidInput, StandfastError, UnknownAgent
from missions.models import Agent, AgentVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import User

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,99}")
NOTE_CHARACTERS: Final = 2000


class AgentExists(StandfastError):
    """There is an agent of this name; make a new version of it instead."""

    code = "agent_exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who makes a version, why, and what it was edited from."""

    by: User | None = None
    via: str = ""  # console, api, demo
    note: str = ""
    base: int | None = None  # the number of a version of the same agent


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A version that is kept now."""

    version: AgentVersion
    created: bool  # False: the newest version said just that already


def create(name: str, said: Mapping[str, Any], wish: Wish) -> Saved:
    """A new agent with its first version. The same request again gives what it made.

    Raises InvalidInput, and AgentExists where an agent of this name began as something else.
    """
    if not NAME.fullmatch(name):
        message = "1 to 100 lower-case letters, digits and -, a letter first."
        raise InvalidInput("This agent can not be made.", errors=[{"field": "name", "message": message}])
    checked = _checked(name, said, wish)
    try:
        with transaction.atomic():
            agent = Agent.objects.create(name=name, created_by=wish.by)
            return Saved(version=_kept(agent, 1, checked, wish, None), created=True)
    except IntegrityError:
        first = AgentVersion.objects.select_related("agent").filter(agent__name=name, number=1).first()
        if first is None:
            raise
        if first.digest != identities.digest_of(checked.said):
            raise AgentExists(f"There is an agent {name} already; make a new version of it.", agent=name) from None
        return Saved(version=first, created=False)


def save(name: str, said: Mapping[str, Any], wish: Wish) -> Saved:
    """A new version of an agent, in force for nobody yet; what the newest one says already makes none.

    Raises UnknownAgent, InvalidInput.
    """
    checked = _checked(name, said, wish)
    with transaction.atomic():
        agent = locked(name)
        newest = agent.versions.order_by("-number").first()
        if newest is not None and newest.digest == identities.digest_of(checked.said):
            return Saved(version=newest, created=False)
        base = agent.versions.filter(number=wish.base).first() if wish.base is not None else None
        number = newest.number + 1 if newest is not None else 1
        return Saved(version=_kept(agent, number, checked, wish, base), created=True)


def locked(name: str) -> Agent:
    """The agent under its row lock. Inside the caller's transaction. Raises UnknownAgent."""
    agent = Agent.objects.select_for_update().filter(name=name).first()
    if agent is None:
        raise UnknownAgent(f"There is no agent {name!r}.", agent=name)
    return agent


def _checked(name: str, said: Mapping[str, Any], wish: Wish) -> Checked:
    if len(wish.note) > NOTE_CHARACTERS or "\x00" in wish.note:
        wrong = [{"field": "note", "message": f"At most {NOTE_CHARACTERS:,} characters, none of them NUL."}]
        raise InvalidInput("This version can not be taken.", errors=wrong)
    return check(said, agent=name)


def _kept(agent: Agent, number: int, checked: Checked, wish: Wish, base: AgentVersion | None) -> AgentVersion:
    return agent.versions.create(
        number=number, digest=identities.digest_of(checked.said), warnings=list(checked.warnings), base=base,
        note=wish.note.strip(), created_by=wish.by, created_via=wish.via, **checked.said,
    )
