"""The file of MCP servers: reading it, and saying where it is wrong.

Owns the shape of MISSIONS_MCP_SERVERS. Contacts nobody. `${NAME}` in a URL or a header stands for a Django setting or
an environment variable, so that secrets stay out of the file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import yaml
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from missions import data_classes
from missions.governance import EffectClass, Json, RetrySafety

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
Code = str | int  # a tool's own code, or a JSON-RPC one
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]


class WrongCatalogue(ImproperlyConfigured):
    """The file of MCP servers can not be used."""


class Entry(BaseModel):
    """What all parts of the file have in common: nothing unknown, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Codes(Entry):
    """The error codes that a server promises to answer only where it changed nothing."""

    declared: tuple[Code, ...] = ()  # definite: the call is refused
    retryable: tuple[Code, ...] = ()  # definite: call again later


class Probe(Entry):
    """A tool on the same server that tells whether a call with a key happened."""

    tool: Name
    argument: str = ""  # which argument takes the key; empty: the probed tool's key argument
    found: str = "found"  # where its answer says yes or no
    result: str = "receipt"  # where its answer holds what the call would have answered
    reference: str = "reference"  # where its answer holds the server's name for it


class RemoteTool(Entry):
    """What is promised of one tool; a server's own annotations are hints, this is the word."""

    effect: EffectClass = EffectClass.WRITE
    retry_safety: RetrySafety = RetrySafety.MANUAL
    key_argument: str = ""
    key_ttl: float | None = Field(default=None, gt=0)
    probe: Probe | None = None
    compensate: str = ""
    title: str = ""
    sentence: str = ""
    data_class: str = ""
    cost: str = ""
    timeout: float = Field(default=30.0, gt=0, le=3600)
    errors: Codes = Codes()
    args_schema: Json | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_probe(cls, value: Any) -> Any:
        """`probe: NAME` is short for `probe: {tool: NAME}`."""
        if isinstance(value, dict) and isinstance(value.get("probe"), str):
            return {**value, "probe": {"tool": value["probe"]}}
        return value

    @field_validator("data_class")
    @classmethod
    def _is_data_class(cls, value: str) -> str:
        return data_classes.checked(value)

    @field_validator("args_schema")
    @classmethod
    def _is_schema(cls, value: Json | None) -> Json | None:
        try:
            Draft202012Validator.check_schema(value or {})
        except SchemaError as error:
            raise ValueError(f"`args_schema` wants a JSON Schema: {error.message}") from error
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> RemoteTool:
        if self.retry_safety is RetrySafety.KEYED and not self.key_argument:
            raise ValueError("a keyed tool wants `key_argument`, the argument that takes the key")
        if self.retry_safety is RetrySafety.VERIFIABLE and self.probe is None:
            raise ValueError("a verifiable tool wants `probe`, the tool that tells whether a call happened")
        if self.probe and not (self.probe.argument or self.key_argument):
            raise ValueError("a probe wants `argument`, or the tool `key_argument`: it asks by the key")
        if self.effect is EffectClass.READ and self.compensate:
            raise ValueError("a tool that reads has nothing to compensate")
        return self


UNLISTED = RemoteTool()  # write, manual


class Server(Entry):
    """One MCP server over streamable HTTP."""

    name: Name
    url: str
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    prefix: str | None = None  # absent: the server's name and a dot
    errors: Codes = Codes()  # hold for each of its tools
    tools: dict[Name, RemoteTool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _reachable(self) -> Server:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("`url` wants http://HOST/PATH or https://HOST/PATH, credentials in `headers`")
        return self

    @property
    def identity(self) -> tuple[Any, ...]:
        """Equal for servers that may share connections."""
        return self.name, self.url, *sorted(self.headers.items())

    def registered_name(self, tool: str) -> str:
        """The name under which missions call one of its tools."""
        return (f"{self.name}." if self.prefix is None else self.prefix) + tool

    def entry(self, tool: str) -> RemoteTool:
        """What is promised of one of its tools; unlisted ones write, and only a person can tell."""
        return self.tools.get(tool, UNLISTED)

    def codes(self, entry: RemoteTool) -> Codes:
        """The codes that count for one of its tools: its own and the server's."""
        own, common = entry.errors, self.errors
        return Codes(declared=own.declared + common.declared, retryable=own.retryable + common.retryable)


def read(path: str | Path) -> list[Server]:
    """The servers that the file describes, one or a list. Raises WrongCatalogue with file, line and what it wants."""
    text = _text(Path(path))
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_duplicates(node, Path(path))
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WrongCatalogue(f"{path}: this is not YAML: {error}") from error
    if node is None:
        return []
    found = data if isinstance(data, list) else [data]
    servers = [_server(item, node, place, Path(path)) for place, item in enumerate(found)]
    names = [server.name for server in servers]
    for name in {name for name in names if names.count(name) > 1}:
        raise WrongCatalogue(f"{path}: two servers are called {name!r}")
    return servers


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongCatalogue(f"{path}: MISSIONS_MCP_SERVERS wants a readable file: {error}") from error


def _server(item: Any, node: yaml.Node, place: int, path: Path) -> Server:
    try:
        return Server.model_validate(_resolve(item))
    except _Unresolved as error:
        raise WrongCatalogue(f"{path}, line {_line(node, (place,))}: {error}") from error
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        listed = [_fault(fault, node, place, path) for fault in faults]
        raise WrongCatalogue("\n".join(listed)) from error


def _fault(fault: Any, node: yaml.Node, place: int, path: Path) -> str:
    where = ".".join(str(part) for part in fault["loc"]) or "the server"
    return f"{path}, line {_line(node, (place, *fault['loc']))}: {where}: {fault['msg']}"


class _Unresolved(Exception):
    """A `${NAME}` that stands for nothing."""


def _resolve(item: Any) -> Any:
    """The entry with the references in its URL and headers replaced."""
    if not isinstance(item, dict):
        return item
    if "command" in item:
        raise _Unresolved("`command`: servers are reached over HTTP; give a `url`")
    known: dict[str, Any] = dict(item)
    if isinstance(known.get("url"), str):
        known["url"] = _replaced("url", known["url"])
    if isinstance(known.get("headers"), dict):
        known["headers"] = {
            name: _replaced(f"headers.{name}", value) if isinstance(value, str) else value
            for name, value in known["headers"].items()
        }
    return known


def _replaced(where: str, text: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        found = getattr(settings, name, None) or os.environ.get(name)
        if not isinstance(found, str):
            raise _Unresolved(f"{where}: ${{{name}}} wants a setting or an environment variable of that name")
        return found

    return REFERENCE.sub(value, text)


def _line(node: yaml.Node, where: tuple[Any, ...]) -> int:
    """The line of the innermost part of `where` that the file has, counted from 1."""
    if isinstance(node, yaml.SequenceNode) and where and isinstance(where[0], int) and where[0] < len(node.value):
        return _line(node.value[where[0]], where[1:])
    if isinstance(node, yaml.MappingNode) and where:
        if where[0] == 0:  # a single server stands for a list of one
            return _line(node, where[1:])
        for key, value in node.value:
            if key.value == str(where[0]):
                return max(int(key.start_mark.line) + 1, _line(value, where[1:]) if where[1:] else 0)
    return int(node.start_mark.line) + 1


def _refuse_duplicates(node: yaml.Node | None, path: Path) -> None:
    """YAML readers let the last of two equal keys win; here that would change a promise silently."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise WrongCatalogue(f"{path}, line {key.start_mark.line + 1}: {key.value} is given twice")
            seen.add(key.value)
            _refuse_duplicates(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, path)
