"""The seam between jobs and what isolates them: what a driver promises, and which one this installation uses."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from django.conf import settings

from missions.errors import SandboxRefused
from missions.sandbox.bubblewrap import BubblewrapDriver
from missions.sandbox.capabilities import Capability
from missions.sandbox.jobs import Job
from missions.sandbox.process import Process


class SandboxDriver(Protocol):
    """Starts jobs in isolation. What it declares is believed only after the self-test has tried it."""

    name: str
    capabilities: frozenset[str]

    async def start(self, job: Job) -> Process:
        """Start a job. Raises SandboxRefused, WorkspaceRefused, OSError."""

    async def missing(self) -> Mapping[str, str]:
        """The capabilities that it knows it lacks here: why, and how to mend it. Raises OSError."""


class NoDriver:
    """Stands in where nothing isolates."""

    name = "none"
    capabilities: frozenset[str] = frozenset()

    def __init__(self, why: str) -> None:
        self._why = why

    async def start(self, job: Job) -> Process:
        """Nothing runs."""
        raise SandboxRefused(missing=dict(await self.missing()))

    async def missing(self) -> Mapping[str, str]:
        """All of it."""
        return dict.fromkeys(Capability, self._why)


def place() -> Path:
    """The private folder of this installation's supervisor."""
    return Path(settings.DATA_DIR) / "sandbox"


def chosen() -> SandboxDriver:
    """The driver that SANDBOX_DRIVER names; `auto` is bubblewrap wherever that can exist."""
    return _chosen(settings.SANDBOX_DRIVER, str(place()))


@functools.lru_cache(maxsize=8)
def _chosen(name: str, folder: str) -> SandboxDriver:
    if name == "none":
        return NoDriver("SANDBOX_DRIVER is set to `none`.")
    if sys.platform != "linux":
        return NoDriver("Isolation needs Linux.")
    return BubblewrapDriver(Path(folder))


def interpreter() -> tuple[str, tuple[str, ...]]:
    """A Python that jobs can run, and what they must be able to read for it."""
    found = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    if found is not None and Path(found).resolve().is_relative_to("/usr"):
        return found, ()
    real = Path(sys.executable).resolve()
    return str(real), (sys.base_prefix,)
