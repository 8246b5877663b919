"""MCP servers that people register while the installation runs: each change is a version, and none is lost.

Knows no shape of a server: the layer of tools reads the documents. Workers are told of a change when it commits.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q

from missions.engine import feed, tool_forms
from missions.errors import ServerChanged, UnknownServer
from missions.governance import Json
from missions.models import ServerVersion

logger = logging.getLogger(__name__)
REASON_CHARACTERS = 2000
LOCK = 0x6D637072  # the first number of the advisory lock: one change of a server at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The newest version of a server."""

    name: str
    number: int
    is_gone: bool = False  # it was taken away


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes a server, how and why."""

    by: str
    via: str  # api or console
    reason: str = ""


def in_force() -> tuple[Registered, ...]:
    """All servers that were ever registered, by name. One statement."""
    rows = ServerVersion.objects.order_by("name", "-number").distinct("name")
    told = rows.annotate(is_gone=Q(document__isnull=True)).values_list("name", "number", "is_gone")
    return tuple(Registered(name=name, number=number, is_gone=is_gone) for name, number, is_gone in told)


def documents(names: Collection[str]) -> dict[str, Json]:
    """What is registered of each of these, or was before it was taken away. One statement; none for none."""
    if not names:
        return {}
    rows = ServerVersion.objects.filter(name__in=names, document__isnull=False)
    return {row.name: row.document or {} for row in rows.order_by("name", "-number").distinct("name")}


def newest(name: str) -> ServerVersion | None:
    """The newest version of a name, also where that says that it was taken away."""
    return ServerVersion.objects.filter(name=name).order_by("-number").first()


@transaction.atomic
def save(name: str, document: Json, author: Author, *, base: int | None = None) -> tuple[ServerVersion, bool]:
    """Register a server, or say anew what it is; the version, and whether it is a new one. Own transaction.

    The same document again changes nothing. Raises ServerChanged where `base` is not the newest version; 0 stands for
    none, also after one was taken away.
    """
    last = _locked(name, base)
    if last is not None and last.document == document:
        return last, False
    if last is not None and _place(last.document) != _place(document):
        tool_forms.forget_server(name)
    return _appended(last, name, document, author), True


@transaction.atomic
def remove(name: str, author: Author, *, base: int | None = None) -> ServerVersion:
    """Take a server away; its versions stay. Own transaction. Raises UnknownServer, ServerChanged."""
    last = _locked(name, base)
    if last is None or last.document is None:
        raise UnknownServer
    return _appended(last, name, None, author)


def _locked(name: str, base: int | None) -> ServerVersion | None:
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s, 0)", [LOCK])
    last = newest(name)
    is_free = last is None or last.document is None
    if base is not None and base != (last.number if last else 0) and not (base == 0 and is_free):
        raise ServerChanged
    return last


def _place(document: Json | None) -> list[object]:
    """Where a server is: another place is another server, whatever it is called."""
    return [(document or {}).get(word) for word in ("url", "command")]


def _appended(last: ServerVersion | None, name: str, document: Json | None, author: Author) -> ServerVersion:
    made = ServerVersion.objects.create(
        name=name, number=last.number + 1 if last else 1, document=document, by=author.by, via=author.via,
        reason=author.reason.replace("\x00", "")[:REASON_CHARACTERS],
    )
    made.refresh_from_db(fields=["at"])
    feed.announce_rules()
    verb = "server_registered" if document is not None else "server_removed"
    facts = {"action": verb, "server": name, "version": made.number, "by": author.by, "via": author.via}
    logger.warning("People changed which MCP servers there are", extra=facts)
    return made
