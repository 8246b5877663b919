"""How much work each tier is to expect: what is asked in a stretch of time, per day, per hour, in the busiest hours.

Pure. Hours in which nothing was asked count too, so a busy morning is not spread over the night and not lost in it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from approvals.simulation.counting import Hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often one tier is asked."""

    total: int
    per_day: float
    per_hour: float
    p95_hour: int  # 95 of 100 hours bring no more than this
    peak_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TierLoad:
    """One tier, by what is in force and with the candidate."""

    tier: str
    now: Rate
    then: Rate

    def as_json(self) -> dict[str, Any]:
        """The form of a summary."""
        return asdict(self)


def loads(present: Hours, would: Hours, hours: int) -> list[TierLoad]:
    """All tiers that are asked, the busiest with the candidate first; over a stretch of so many hours."""
    tiers = {*present, *would}
    found = [
        TierLoad(tier=tier, now=rate(present.get(tier, Counter()), hours), then=rate(would.get(tier, Counter()), hours))
        for tier in tiers
    ]
    return sorted(found, key=lambda load: (-load.then.total, -load.now.total, load.tier))


def rate(asked: Counter[int], hours: int) -> Rate:
    """What a tier is asked in so many hours, at least those in which it was asked at all."""
    span = max(hours, len(asked), 1)
    total = asked.total()
    per_hour = total / span
    return Rate(
        total=total, per_day=round(per_hour * 24, 2), per_hour=round(per_hour, 3), p95_hour=p95(asked, span),
        peak_hour=max(asked.values(), default=0),
    )


def p95(asked: Counter[int], span: int) -> int:
    """The 95th percentile over `span` hours, by nearest rank."""
    rank = math.ceil(0.95 * span)  # counted from 1, after all the hours without a question
    ordered = sorted(asked.values())
    place = rank - (span - len(ordered))
    return ordered[place - 1] if place > 0 else 0
