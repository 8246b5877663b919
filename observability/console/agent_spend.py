"""What the page of an agent says about its spend: the last days in sum, and version by version. Reads only."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from missions.models import Agent
from observability import spend
from observability.models import Spend

DAYS: Final = 30
SMALLEST: Final = Decimal("0.0001")  # what people are shown; REST tells all places


@dataclass(slots=True)
class Line:
    """What one version took, or all of them (`version` is None)."""

    version: int | None = None
    turns: int = 0
    failed: int = 0
    unpriced: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    _costs: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, row: Spend) -> None:
        """Count a row."""
        self.turns += row.turns
        self.failed += row.failed
        self.unpriced += row.unpriced
        self.tokens_in += row.tokens_in
        self.tokens_out += row.tokens_out
        if row.turns > row.failed + row.unpriced:  # else nobody knows what it cost, and zero would be a guess
            self._costs[row.currency] += row.cost

    @property
    def costs(self) -> list[str]:
        """Money in words, currency by currency; empty where no price is known."""
        return [_money(amount, currency) for currency, amount in sorted(self._costs.items())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """The last days of an agent. `lines` are versions, the newest first; none where nothing is counted yet."""

    days: int
    total: Line
    lines: list[Line]
    counted_at: dt.datetime | None


def of(agent: Agent) -> Spent:
    """What it spent in the last days, in all missions."""
    rows = spend.of_agent(agent.name, DAYS)
    versions: dict[int, Line] = {}
    for row in rows:
        versions.setdefault(row.version, Line(row.version)).add(row)
    lines = [versions[number] for number in sorted(versions, reverse=True)]
    return Spent(days=DAYS, total=_total(rows), lines=lines, counted_at=spend.counted_at())


def _total(rows: Iterable[Spend]) -> Line:
    total = Line()
    for row in rows:
        total.add(row)
    return total


def _money(amount: Decimal, currency: str) -> str:
    if 0 < amount < SMALLEST:
        return f"under {SMALLEST} {currency}"
    places = max(2, -int(amount.quantize(SMALLEST).normalize().as_tuple().exponent))
    return f"{amount:,.{places}f} {currency}"
