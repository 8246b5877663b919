"""A job under way, as every driver gives it. Pure data and a port; knows no driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from missions.sandbox.jobs import Attempt, KilledFor


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How it ended: an exit code, or a signal as a negative number; and whether it was killed, and for what."""

    status: int
    killed_for: KilledFor = ""
    took_seconds: float = 0.0


class Process(Protocol):
    """The driver's side of a job. `close` is called once, whatever happened before."""

    stdin: int  # our ends of its streams; whoever takes one closes it
    stdout: int
    stderr: int

    async def ended(self) -> Ending:
        """How it ended, once it has; may be asked more than once. Raises SandboxRefused, ConnectionError."""

    def kill(self, why: KilledFor) -> None:
        """End it, for this reason."""

    async def read_back(self) -> tuple[str, ...]:
        """Bring the workspace to what the job left; what was left out, and why. After `ended` alone. Raises OSError."""

    def attempts(self) -> tuple[Attempt, ...]:
        """What it tried to reach."""

    async def close(self) -> None:
        """End it if it goes on, and let go of everything."""
