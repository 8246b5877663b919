"""What a mission returns, and how a step is tried again. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

VERDICT_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a mission: one word for programs, a sentence for people, and data."""

    verdict: str
    summary: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def verdict_of(value: Any) -> Verdict:
    """What the author's function returned, as a verdict: None reads "done", anything else becomes data."""
    if isinstance(value, Verdict):
        return value
    if value is None:
        return Verdict("done")
    if isinstance(value, str):
        return Verdict("done", summary=value)
    return Verdict("done", data=value if isinstance(value, dict) else {"result": value})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a failing step is tried, and how long apart (seconds, growing by `factor` up to `most_seconds`)."""

    attempts: int = 1
    first_seconds: float = 0.5
    factor: float = 2.0
    most_seconds: float = 300.0
    on: tuple[type[Exception], ...] = (Exception,)

    def delay(self, failures: int) -> float:
        """Seconds to wait after the n-th failure, from 1."""
        return min(self.first_seconds * self.factor ** (failures - 1), self.most_seconds)
