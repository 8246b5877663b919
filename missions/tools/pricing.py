"""What a call moves or costs, read out of its arguments. Pure.

A tool may name the argument that holds the amount (`cost`); else the first that usually does is taken. The currency is
the argument `currency`; without one nobody can say, and the amount counts in every currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

USUAL: Final = ("amount", "total", "sum", "price")
CURRENCY_LENGTH: Final = 10
DECIMALS: Final = Decimal("0.0001")
LARGEST: Final = Decimal(10) ** 13


@dataclass(frozen=True, slots=True)
class Price:
    """An amount of money; the currency is empty where none is given."""

    amount: Decimal
    currency: str

    @property
    def counted(self) -> Decimal:
        """What it takes of a budget: to four decimals, upwards, and whichever way the money goes."""
        return abs(self.amount).quantize(DECIMALS, rounding="ROUND_CEILING")

    def is_in(self, currency: str) -> bool:
        """Whether it may be in this currency."""
        return not self.currency or self.currency.upper() == currency


def price_of(args: Mapping[str, Any], named: str = "") -> Price | None:
    """The amount in these arguments; None where there is none that can be read."""
    for name in (named,) if named else USUAL:
        amount = _decimal(args.get(name))
        if amount is not None:
            return Price(amount, str(args.get("currency") or "")[:CURRENCY_LENGTH])
    return None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
