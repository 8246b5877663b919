"""In whose name a call is made: the mission's own code, or an agent with what it may reach and has read. Pure data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from missions.data_classes import Clearance


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who calls a tool."""

    agent: str = ""  # empty: the mission's own code
    version: int = 0
    untrusted: tuple[str, ...] = ()  # the sources outside our trust that it has read from
    egress: tuple[str, ...] = ()  # "host:port"
    clearance: Clearance | None = None  # less than the mission's; None: all of that


MISSION = Actor()


def mission_after(untrusted: Collection[str]) -> Actor:
    """The mission's own code, once it has read from these sources."""
    return Actor(untrusted=tuple(sorted(untrusted))) if untrusted else MISSION
