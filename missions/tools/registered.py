"""MCP servers that people register: what they may say of one, which is less than the file may, and which there are.

Owns this process's knowledge of them. Whoever registers a server is no operator of this machine: what would lead into
it is refused, secrets come from the table of secrets alone, and each address is judged before it is connected to.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.conf import settings
from pydantic import ValidationError, field_validator, model_validator

from missions import pinning
from missions.engine import codec
from missions.engine.registered_servers import Registered
from missions.errors import InvalidInput, PayloadTooLarge, Unserialisable
from missions.governance import Json
from missions.secrets import references
from missions.tools import catalogue, schemas
from missions.tools.arguments import plain
from missions.tools.servers import MIB, Allowance, RemoteTool, Server

logger = logging.getLogger(__name__)
DOCUMENT_BYTES = 64 * 1024
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
HEADER, FIELD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}"), re.compile(r"[!-~]([ -~]{0,1998}[!-~])?")
# What the client fills in, and what is between two machines alone: another word would speak past it.
OURS = frozenset({
    "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "keep-alive",
    "upgrade", "te", "trailer", "expect", "accept", "accept-encoding", "proxy-connection", "last-event-id",
})  # fmt: skip
CREDENTIAL = re.compile(r"([A-Za-z-]{1,20} )?\$\{db:[^}]+\}")
MOST_OF_A_COMMAND = {"memory_bytes": 2048 * MIB, "pids": 512, "cpu_seconds": 31 * 86_400.0, "disk_bytes": 1024 * MIB}
LARGEST = 2**53  # of a number: larger ones come back from the database as others
CREDENTIALS = frozenset({
    "authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token", "private-token",
})  # fmt: skip

@dataclass(frozen=True, slots=True)
class Kept:
    """What this process knows of one registered server."""

    number: int
    server: Server | None  # None where this code can not read its description
    is_gone: bool


Known = Mapping[str, Kept]  # by name
_known: Known = {}
listeners: set[Callable[[], object]] = set()  # called, from any thread, after servers came, changed or went


class RegisteredServer(Server):
    """A server that people registered."""

    is_judged: ClassVar[bool] = True

    @field_validator("name")
    @classmethod
    def _is_short(cls, value: str) -> str:
        if NAME.fullmatch(value) is None:
            raise ValueError("a name has up to 50 small letters, digits, hyphens and underscores")
        if value == "new":
            raise ValueError("this name is reserved: the form of new servers has its address")
        return value

    @field_validator("url")
    @classmethod
    def _is_plain(cls, value: str) -> str:
        if "${" in value:
            raise ValueError("a registered URL holds no references; secrets go into `headers`")
        try:
            pinning.parse(value) if value else None
        except pinning.Refused as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("headers")
    @classmethod
    def _keeps_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if fault := _header_fault(name, text):
                raise ValueError(f"`{name[:100]}` {fault}")
        return value

    @field_validator("limits")
    @classmethod
    def _is_modest(cls, value: Allowance) -> Allowance:
        for name, most in MOST_OF_A_COMMAND.items():
            if not getattr(value, name) <= most:
                raise ValueError(f"`{name}` is at most {most:,} of a registered server")
        return value

    @field_validator("tools")
    @classmethod
    def _are_tame(cls, value: dict[str, RemoteTool]) -> dict[str, RemoteTool]:
        for name, tool in value.items():
            try:
                kept = schemas.tame(tool.args_schema) if tool.args_schema is not None else None
            except InvalidInput as error:
                raise ValueError(f"`{name}`: `args_schema`: {error}") from error
            value = {**value, name: tool.model_copy(update={"args_schema": kept})}
        return value

    @model_validator(mode="after")
    def _stays_out(self) -> RegisteredServer:
        if self.readable:
            raise ValueError("`readable` is for servers of the file: it opens folders of this machine")
        if self.prefix is not None:
            raise ValueError("`prefix` is for servers of the file: these tools are called NAME.TOOL")
        if "${" in f"{self.command} {self.env}":
            raise ValueError("no secret reaches the sandbox: a server that needs one is reached by `url`")
        return self


def _header_fault(name: str, text: str) -> str:
    """What is wrong with a header that goes to a registered server; empty where it may."""
    if HEADER.fullmatch(name) is None or name.lower() in OURS or name.lower().startswith("mcp-"):
        return "is no name of a header that may be given"
    if FIELD.fullmatch(text) is None:
        return "wants printable characters of ASCII, and no blank at an end"
    found = references.listed(text)
    if len(found) != text.count("${") or not all(one.startswith("db:") for one in found):
        return "takes secrets from the table of secrets alone: ${db:NAME}"
    if name.lower() in CREDENTIALS and CREDENTIAL.fullmatch(text) is None:
        return "is a credential: keep it as a secret, and write ${db:NAME}, after `Bearer` or the like"
    return ""


def server_of(document: Any) -> Server:
    """The server that a document describes. Raises InvalidInput with errors by field."""
    try:
        codec.dump(document, limit=DOCUMENT_BYTES)
        _check_plain(document)
        return RegisteredServer.model_validate(document)
    except (Unserialisable, PayloadTooLarge, RecursionError) as error:
        raise invalid("", f"Plain values are wanted, at most {DOCUMENT_BYTES // 1024} KiB: {error}") from error
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        errors = [
            {"field": ".".join(map(str, one["loc"])), "message": one["msg"].removeprefix("Value error, ")}
            for one in faults
        ]
        raise InvalidInput("The server can not be registered.", errors=errors) from error


def _check_plain(document: Any) -> None:
    """Raises InvalidInput for what the database would not give back as it is."""
    try:
        plain({"server": document})
    except InvalidInput as error:
        told = [{**one, "field": one["field"].removeprefix("server").lstrip(".")} for one in error.errors]
        raise InvalidInput("The server can not be registered.", errors=told) from error
    left = [document]
    while left:
        part = left.pop()
        if isinstance(part, int | float) and abs(part) > LARGEST:
            raise invalid("", f"A number may be {LARGEST:,} at most.")
        left += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()


def invalid(field: str, message: str) -> InvalidInput:
    """That one field can not stay as it is."""
    return InvalidInput("The server can not be registered.", errors=[{"field": field, "message": message}])


def in_file() -> set[str]:
    """The names that the file of servers gives."""
    return {one.name for one in catalogue.servers(settings.MISSIONS_MCP_SERVERS)}


def servers() -> tuple[Server, ...]:
    """All servers known here: those of the file in its order, then those that people registered, by name."""
    return _all(_known)


def _all(known: Known) -> tuple[Server, ...]:
    own = catalogue.servers(settings.MISSIONS_MCP_SERVERS)
    return *own, *(kept.server for _, kept in sorted(known.items()) if kept.server is not None and not kept.is_gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What this process is to know instead of what it knows."""

    known: Known
    changed: frozenset[str]  # the names of those that went or are others now
    came: tuple[Server, ...]  # the new ones, those that changed, and those that were taken away

    @property
    def servers(self) -> dict[str, Server]:
        """All servers by name, as they will be, also those that were taken away."""
        taken = {name: kept.server for name, kept in self.known.items() if kept.server is not None}
        return taken | {one.name: one for one in _all({})}

    @property
    def gone(self) -> frozenset[str]:
        """The names of those that were taken away."""
        return frozenset(name for name, kept in self.known.items() if kept.is_gone)


def plan(rows: Iterable[Registered], describe: Callable[[Collection[str]], Mapping[str, Json]]) -> Plan:
    """What changes where these are registered; `describe` tells the documents of those that are new here.

    Left out and logged: what this code can no longer read. One that the file has by now is that of the file.
    """
    taken = in_file()
    wanted = {row.name: row for row in rows if row.name not in taken}
    stay = {name: kept for name, kept in _known.items() if name in wanted and wanted[name].number == kept.number}
    told = describe([name for name in wanted if name not in stay])
    read = {
        name: Kept(wanted[name].number, _read(wanted[name], document), wanted[name].is_gone)
        for name, document in told.items()
    }
    came = tuple(kept.server for kept in read.values() if kept.server is not None)
    return Plan(known={**stay, **read}, changed=frozenset(set(_known) - set(stay)), came=came)


def gone(name: str) -> Server | None:
    """The server of this name that was taken away, as it was."""
    kept = _known.get(name)
    return kept.server if kept is not None and kept.is_gone else None


def keep(new: Plan) -> None:
    """Know it from now on."""
    global _known
    _known = new.known


def tell() -> None:
    """Tell who listens that servers came, changed or went."""
    for listener in tuple(listeners):
        try:
            listener()
        except RuntimeError:  # its loop has closed
            listeners.discard(listener)


def _read(row: Registered, document: Json) -> Server | None:
    try:
        return server_of(document)
    except InvalidInput as error:
        facts = {"action": "server_left_out", "server": row.name, "version": row.number, "why": str(error.errors)[:500]}
        logger.warning("A registered server can not be used", extra=facts)
        return None
