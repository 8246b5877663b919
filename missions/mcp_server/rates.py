"""How many calls a token may make here, counted in this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from missions.web.problems import problem

MOST = 10_000  # tokens that are kept in mind; beyond it the fullest, who lost nothing by it, are forgotten


class Rates:
    """A bucket for each token: so many calls at once, refilled over a minute. Nothing is limited at 0."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = per_minute, clock
        self._buckets: dict[int, tuple[float, float]] = {}  # token → calls left, and when

    def count(self, token: int) -> None:
        """Count a call. Raises Problem (429) with the seconds after which one more is free."""
        if not self._most:
            return
        now, each = self._clock(), 60 / self._most
        left, since = self._buckets.get(token, (float(self._most), now))
        left = min(self._most, left + (now - since) / each)
        if left < 1:
            refused = problem(429, "throttled", f"A token may make {self._most} calls a minute; nothing was done.")
            refused.headers["Retry-After"] = str(math.ceil((1 - left) * each))
            raise refused
        self._buckets[token] = (left - 1, now)
        if len(self._buckets) > MOST:
            self._forget(now, each)

    def _forget(self, now: float, each: float) -> None:
        full = sorted(self._buckets, key=lambda token: self._buckets[token][0] + (now - self._buckets[token][1]) / each)
        for token in full[MOST // 2 :]:
            del self._buckets[token]
