"""What a call hands to the function that it runs: heartbeats, the cursor to go on from, files. Pure data.

The effects layer fills these in; what stands here by default listens to nothing and has nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from missions.errors import MisusedContext

Opener = Callable[[Any], BinaryIO]


def no_heartbeat(progress: Any = None, cursor: Any = None) -> None:
    """Stands in where nothing listens to progress."""


def no_workspace() -> Path:
    """Stands in where there is no workspace."""
    raise MisusedContext("This call has no workspace; declare the tool with `workspace=True`.")


def no_artifacts(ref: Any) -> BinaryIO:
    """Stands in where there are no artifacts."""
    raise MisusedContext("This call can open no artifacts.")


@dataclass(slots=True, kw_only=True)
class StepCall:
    """One try of a step; the first argument of a step function that annotates its first parameter with this class."""

    mission_id: str = ""  # the mission's uid
    attempt: int = 0
    deadline: dt.datetime | None = None  # aware, on the database clock; None without a time-out
    heartbeat: Callable[..., None] = no_heartbeat  # heartbeat(progress, cursor); from any thread
    resume_cursor: Any = None  # the last cursor that an earlier, cut-off try reported
    open_artifact: Opener = field(default=no_artifacts, repr=False)  # open_artifact(ref) -> a binary stream
    find_workspace: Callable[[], Path] = field(default=no_workspace, repr=False)

    @property
    def workspace(self) -> Path:
        """The mission's own folder. What lies there when the step ends is kept with its result."""
        return self.find_workspace()
