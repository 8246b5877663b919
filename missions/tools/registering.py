"""Registering MCP servers while the installation runs: checking what is said of one, and keeping it.

Who may do so is for callers to say. Contacts no server: whether it answers, workers find out.
"""

from __future__ import annotations

from typing import Any

import httpx2

from missions import pinning
from missions.engine import registered_servers
from missions.engine.registered_servers import Author
from missions.errors import InvalidInput, UnknownTool
from missions.models import Secret, ServerVersion
from missions.secrets import references
from missions.tools import judged, learning, registered, registry
from missions.tools.servers import Server

MOST = 200  # servers that are registered at a time


def register(document: Any, author: Author, *, base: int | None = None) -> tuple[ServerVersion, bool]:
    """Register a server, or say anew what it is; the version, and whether it is a new one. Own transaction.

    `base` is the version that was looked at, 0 for none. The same again changes nothing. Workers know it within
    milliseconds and ask it for its tools. Raises InvalidInput with errors by field, ServerChanged.
    """
    server = checked(document)
    saved = registered_servers.save(server.name, document, author, base=base)
    learning.refresh()
    return saved


def remove(name: str, author: Author, *, base: int | None = None) -> ServerVersion:
    """Take a server away: its tools are called no more. Own transaction. Raises UnknownServer, ServerChanged."""
    removed = registered_servers.remove(name, author, base=base)
    learning.refresh()
    return removed


def checked(document: Any) -> Server:
    """The server that a document describes, as it could be registered now. Raises InvalidInput."""
    learning.refresh()
    server = registered.server_of(document)
    faults = [*_names(server), *_tools(server), *_secrets(server), *_address(server)]
    if faults:
        errors = [{"field": field, "message": message} for field, message in faults]
        raise InvalidInput("The server can not be registered.", errors=errors)
    return server


Faults = list[tuple[str, str]]


def _names(server: Server) -> Faults:
    """What is wrong with its name."""
    if server.name in registered.in_file():
        return [("name", "The file of MCP servers describes a server of this name.")]
    known = {row.name for row in registered_servers.in_force() if not row.is_gone}
    if server.name not in known and len(known) >= MOST:
        return [("name", f"There are {MOST} registered servers already.")]
    own = f"MCP server {server.name} ("
    others = (one for one in registry.all_tools() if not one.origin.startswith(own))
    taken = next((one.name for one in others if one.name.startswith(f"{server.name}.")), None)
    return [("name", f"Its tools would be called like others here: {taken}.")] if taken else []


def _tools(server: Server) -> Faults:
    """What is wrong with its tools: a compensation that nobody knows."""
    own = {server.registered_name(tool) for tool in server.tools}
    return [
        (f"tools.{name}.compensate", f"There is no tool {tool.compensate!r} here.")
        for name, tool in server.tools.items()
        if tool.compensate and tool.compensate not in own and not _is_known(tool.compensate)
    ]


def _is_known(tool: str) -> bool:
    try:
        return not registry.get_tool(tool).is_gone
    except UnknownTool:
        return False


def _secrets(server: Server) -> Faults:
    """Which of its headers name secrets that are not there."""
    wanted = {(header, one[3:]) for header, text in server.headers.items() for one in references.listed(text)}
    there = set(Secret.objects.filter(name__in=[name for _, name in wanted]).values_list("name", flat=True))
    return [
        (f"headers.{header}", f"There is no secret {name!r}; `manage.py secret set {name}` keeps one.")
        for header, name in sorted(wanted) if name not in there
    ]  # fmt: skip


def _address(server: Server) -> Faults:
    """Why nothing may be sent to its address; one that can not be resolved now is judged when it is called."""
    try:
        judged.judged(httpx2.URL(server.url)) if server.url else None
    except pinning.Refused as error:
        return [("url", f"{error} MCP_SERVER_HOSTS lists the hosts in private networks that may be.")]
    except UnicodeError:
        return [("url", "Its host is no name that can be looked up.")]
    except OSError:
        return []
    return []
