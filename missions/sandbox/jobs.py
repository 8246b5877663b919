"""What is to run in isolation, and what came of it. Pure data; knows no driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

MIB = 1024 * 1024
KilledFor = Literal["", "wall", "memory", "output", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One program. `env` must hold no secrets; `readable` are folders of the host that it may read, at the same path.

    A workspace is copied in before the start, and what the program left is read back when it has ended.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    workspace: Path | None = None  # a folder of ours; inside it is /workspace
    readable: tuple[str, ...] = ()  # absolute; chosen by who runs the installation, never by an LLM
    egress: tuple[str, ...] = ()  # "host:port"; empty: no network at all
    stdin: bytes = b""  # for `run`; a session has a stream instead
    memory_bytes: int = 512 * MIB  # of all its processes, files in memory included
    pids: int = 64
    cpu_seconds: float = 60.0  # of each process
    wall_seconds: float = 60.0  # 0: as long as somebody listens
    output_bytes: int = 256 * 1024  # of each stream
    disk_bytes: int = 256 * MIB  # of the workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a job to reach a place outside."""

    host: str
    port: int
    allowed: bool
    why: str = ""  # why it was refused, or cut
    bytes_up: int = 0
    bytes_down: int = 0
    at: str = ""  # RFC 3339

    def as_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        told: dict[str, Any] = {"host": self.host, "port": self.port, "allowed": self.allowed, "at": self.at}
        told |= {"why": self.why} if self.why else {}
        return told | ({"bytes_up": self.bytes_up, "bytes_down": self.bytes_down} if self.allowed else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a job ended. `code` is as a shell tells it; None where the job was killed from outside."""

    code: int | None
    signal: int | None = None  # that ended its program, or ended it from outside
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    killed_for: KilledFor = ""
    egress: tuple[Attempt, ...] = ()
    left_out: tuple[str, ...] = ()  # what of the workspace was not read back, and why
    took_seconds: float = 0.0
