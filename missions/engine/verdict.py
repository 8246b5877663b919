"""What a mission returns, and how a step is tried again. Pure values."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

VERDICT_LENGTH = 100
LEAKED = (SystemExit, asyncio.CancelledError)  # no plain errors, but a step that raises them is tried again as well


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
    """How often a failing step is tried, and how long apart (seconds, growing by `factor` up to `most_seconds`).

    Errors of the types in `on`, and of none in `not_on`, are tried again; all others fail the step at once. No try
    begins later than `most_total_seconds` after the first failure. `per` holds other policies for single types, the
    first that fits: `per=((RateLimited, RetryPolicy(attempts=10)),)`; the failures of all types are counted together.
    """

    attempts: int = 1
    first_seconds: float = 0.5
    factor: float = 2.0
    most_seconds: float = 300.0
    most_total_seconds: float | None = None
    on: tuple[type[BaseException], ...] = (Exception,)
    not_on: tuple[type[BaseException], ...] = ()
    per: tuple[tuple[type[BaseException], RetryPolicy], ...] = ()

    def delay(self, failures: int) -> float:
        """Seconds to wait after the n-th failure, from 1."""
        return min(self.first_seconds * self.factor ** min(failures - 1, 1000), self.most_seconds)

    def again_in(self, error: BaseException, failures: int, since_first: float) -> float | None:
        """Seconds until the next try after the n-th failure, `since_first` seconds after the first; None for never."""
        policy = next((other for kind, other in self.per if isinstance(error, kind)), None)
        if policy is not None:
            return policy.again_in(error, failures, since_first)
        if failures >= self.attempts or not isinstance(error, (*self.on, *LEAKED)) or isinstance(error, self.not_on):
            return None
        delay = self.delay(failures)
        late = self.most_total_seconds is not None and since_first + delay > self.most_total_seconds
        return None if late else delay
