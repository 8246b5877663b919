"""What makes one decision like another: what it is about, and the size of its amount. Pure."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from typing import Any

SUBJECT_LENGTH, SEARCHED_LENGTH = 100, 701
ABOUT = ("order", "customer", "account", "invoice", "case", "ticket", "user", "patient", "claim")


def searched(sentence: str, title: str) -> str:
    """The text in which a decision is searched for."""
    return f"{sentence} {title}".strip()[:SEARCHED_LENGTH]


def subject_of(args: dict[str, Any]) -> str:
    """The value by which people would know the case: of the first argument named like an id of one; else nothing."""
    named = [name for word in ABOUT for name in sorted(args) if word in name.lower().split("_")]
    others = [name for name in sorted(args) if name.lower().endswith(("_id", "_number", "_reference"))]
    for name in [*named, *others]:
        value = args[name]
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()[:SUBJECT_LENGTH]
    return ""


def band_of(blast: dict[str, Any]) -> int | None:
    """The size of its amount in half powers of ten: 100 to 316 is 4, 316 to 1,000 is 5; None without an amount."""
    money = blast.get("money")
    if not isinstance(money, dict):
        return None
    try:
        amount = abs(Decimal(str(money.get("amount"))))
    except InvalidOperation:
        return None
    if not amount.is_finite():
        return None
    return max(-100, min(100, math.floor(2 * math.log10(amount)))) if amount else -100
