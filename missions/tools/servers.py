"""What is said of an MCP server: where it is, what it may, and what is promised of its tools. Contacts nobody.

Owns these shapes, for the file of servers (`missions.tools.server_file`) and for servers that people register.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from missions import data_classes
from missions.governance import EffectClass, Json, RetrySafety

ANSWER_BYTES, LARGEST_ANSWER = 1024 * 1024, 32 * 1024 * 1024
MIB = 1024 * 1024
Code = str | int  # a tool's own code, or a JSON-RPC one
OF_COMMANDS = {"env", "egress", "readable", "workspace", "limits"}
Place = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}:[0-9]{1,5}$")]
Folder = Annotated[str, Field(pattern=r"^/[^\x00]*$")]
NAMED = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")
Name = Annotated[str, Field(pattern=NAMED.pattern)]


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
    description: str = ""
    data_class: str = ""
    cost: str = ""
    timeout: float = Field(default=30.0, gt=0, le=3600)
    result_bytes: int = Field(default=ANSWER_BYTES, ge=1024, le=LARGEST_ANSWER)  # of its answer on the wire
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


class Allowance(Entry):
    """What the process of a server may take of the host."""

    memory_bytes: int = Field(default=512 * MIB, ge=16 * MIB)
    pids: int = Field(default=64, ge=1, le=4096)
    cpu_seconds: float = Field(default=86_400.0, gt=0)  # of each of its processes
    disk_bytes: int = Field(default=256 * MIB, ge=MIB)  # of its workspace


class Server(Entry):
    """One MCP server: at a URL over streamable HTTP, or a command in the sandbox over its standard streams."""

    name: Name
    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    command: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)  # of the command; never a secret
    egress: tuple[Place, ...] = ()  # the places that the command may reach
    readable: tuple[Folder, ...] = ()  # folders of the host that the command may read
    workspace: bool = False  # whether the command keeps a folder over its restarts
    limits: Allowance = Allowance()
    trusted: bool = False  # whether what it says of its tools, and what they answer, counts as ours
    prefix: str | None = None  # absent: the server's name and a dot
    errors: Codes = Codes()  # hold for each of its tools
    tools: dict[Name, RemoteTool] = Field(default_factory=dict)

    is_judged: ClassVar[bool] = False  # whether each address is judged before it is connected to

    @model_validator(mode="after")
    def _reachable(self) -> Server:
        if bool(self.url) is bool(self.command):
            raise ValueError("a server wants either `url` or `command`")
        if self.command:
            if self.headers:
                raise ValueError("`headers` go with `url`; no secret reaches a command in the sandbox")
            return self
        if self.model_fields_set & OF_COMMANDS:
            raise ValueError(f"{', '.join(sorted(OF_COMMANDS))} go with `command`")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("`url` wants http://HOST/PATH or https://HOST/PATH, credentials in `headers`")
        return self

    @property
    def identity(self) -> tuple[Any, ...]:
        """Equal for servers that may share connections."""
        ours = (self.command, tuple(sorted(self.env.items())), self.egress, self.readable, self.workspace, self.limits)
        return self.is_judged, self.name, self.url, *sorted(self.headers.items()), *(ours if self.command else ())

    @property
    def line_bytes(self) -> int:
        """The largest answer that any of its tools may give."""
        return max([ANSWER_BYTES, *(tool.result_bytes for tool in self.tools.values())])

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
