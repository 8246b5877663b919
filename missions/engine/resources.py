"""Waits for resources on MCP servers: which there are, and telling missions of changes.

Owns the rows of `AwaitedResource`. A row only says what is to be looked at: that a mission waits is in its journal, and
that it was told, in its mailbox, so a row too many or told twice changes nothing. Synchronous, own transactions; knows
no MCP.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from missions.engine import mailbox, prepared
from missions.errors import MissionEnded, UnknownMission
from missions.models import ENDED, AwaitedResource, Mission

HINT = "standfast_resources"  # the channel of hints; the payload is the server's name
LOCK = 0x6D637073  # the first number of the advisory locks of those who listen; the second stands for the server
PREFIX = "mcp:"
OCCURRENCE = re.compile(r"#\d+")
SLOT_CHARACTERS = 400
SENDER_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in which mission a wait is, and who may note it."""

    mission_id: int
    attempt: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a resource has become; `told` is the payload of the signal."""

    server: str
    resource: str
    digest: str
    told: dict[str, Any]


def name_of(uid: uuid.UUID, timeline: int, chapter: int, path: str, known: str) -> str:
    """The name of the signal for one wait and no other."""
    told = "\x00".join([str(uid), str(timeline), str(chapter), path, known])
    return PREFIX + hashlib.sha256(told.encode()).hexdigest()[:40]


def note(place: Place, name: str, server: str, resource: str, known: str) -> None:
    """Have somebody listen for it, unless the attempt no longer owns the mission."""
    slot = OCCURRENCE.sub("", place.path)
    if len(slot) > SLOT_CHARACTERS:
        slot = hashlib.sha256(slot.encode()).hexdigest()
    prepared.row(
        "resource_await", [place.mission_id, place.attempt, name, slot, server, resource, known, HINT]
    )


def awaited_servers() -> set[str]:
    """The servers of which somebody awaits something, or did: looks at no mission, since it is asked all the time."""
    return set(AwaitedResource.objects.values_list("server", flat=True).distinct())


def awaited_of(server: str) -> dict[str, set[str]]:
    """Resource → the names of the waits for it, of missions that go on."""
    found: dict[str, set[str]] = {}
    for resource, name in _living().filter(server=server).values_list("resource", "name"):
        found.setdefault(resource, set()).add(name)
    return found


def _living() -> Any:
    ended = Mission.objects.filter(pk=OuterRef("mission_id"), state__in=ENDED)
    return AwaitedResource.objects.filter(~Exists(ended))


def tell(change: Change) -> int:
    """Tell every mission that knows another digest of the resource; how many. Each in a transaction of its own."""
    rows = _living().filter(server=change.server, resource=change.resource).exclude(known=change.digest)
    return sum(_tell(row, change) for row in rows)


def _tell(row: AwaitedResource, change: Change) -> bool:
    with transaction.atomic():
        gone, _ = AwaitedResource.objects.filter(pk=row.pk, known=row.known).delete()
        if not gone:
            return False  # told by somebody else, or the mission waits for something else meanwhile
        try:
            with transaction.atomic():
                mailbox.deliver(
                    row.mission_id, row.name, change.told, key=f"{row.name}:{change.digest}",
                    sender=f"MCP server {change.server}"[:SENDER_CHARACTERS],
                )
        except (MissionEnded, UnknownMission):
            return False  # and nobody waits
    return True


def forget() -> int:
    """Forget waits of missions that have ended or left; how many."""
    going_on = Mission.objects.filter(pk=OuterRef("mission_id")).exclude(state__in=ENDED)
    return AwaitedResource.objects.filter(~Exists(going_on)).delete()[0]
