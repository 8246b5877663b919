"""The checkpoint strategy of a mission type. Pure.

Each step's result is recorded in any case; the strategy says what is kept within a call that takes long, where a call
goes on that was cut off, and which entries count as points to come back to.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from missions.models import RESTORING, Kind

BOUNDARIES = {
    "steps": tuple(RESTORING),
    "decisions": (Kind.DECIDED, Kind.ANSWERED),
}
RECOVERIES = {
    "resume": "goes on from its last cursor",
    "restart-step": "begins anew",
}


def seconds_of(span: float | dt.timedelta) -> float:
    """A duration in seconds."""
    return span.total_seconds() if isinstance(span, dt.timedelta) else float(span)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a type keeps, and when. Raises ValueError for words that are not known.

    `interval` (seconds or timedelta): the cursor of a running call is kept at most so often. `at`: `steps`, where any
    recorded result is a point to come back to, or `decisions`, where only decisions are. `recovery`: whether a call
    that was cut off is handed its `resume_cursor` (`resume`) or begins anew (`restart-step`).
    """

    interval: float | dt.timedelta = 1.0
    at: str = "steps"
    recovery: str = "resume"

    def __post_init__(self) -> None:
        if self.at not in BOUNDARIES or self.recovery not in RECOVERIES:
            raise ValueError(f"at is one of {', '.join(BOUNDARIES)}; recovery is one of {', '.join(RECOVERIES)}")
        if self.interval_seconds < 0:
            raise ValueError("the interval wants 0 seconds or more")

    @property
    def interval_seconds(self) -> float:
        """The interval in seconds."""
        return seconds_of(self.interval)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of entries that are points to come back to."""
        return BOUNDARIES[self.at]

    @property
    def resumes(self) -> bool:
        """Whether a call that was cut off is handed its cursor."""
        return self.recovery == "resume"

    @property
    def words(self) -> str:
        """The strategy in words for people."""
        points = "each decision" if self.at == "decisions" else "each step"
        kept = f"within a call every {self.interval_seconds:g} s"
        return f"after {points}, {kept}; a call that was cut off {RECOVERIES[self.recovery]}"
