"""What an action puts at stake: how far it can be taken back, how much it moves, whom it reaches, how risky it is.

Pure arithmetic over an action; people read it, and nothing is allowed or denied by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from missions.governance import EffectClass, Intent
from missions.tools.pricing import price_of

REACHED = ("recipient", "recipients", "to", "email", "cc", "bcc")
RECIPIENTS_SHOWN = 20
RISKS = {"irreversible": "high", "reversible": "medium", "compensable": "low", "read": "low"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """How far an action reaches."""

    reversibility: str  # read, compensable (a tool undoes it), reversible (people can correct it), irreversible
    blast: dict[str, Any]  # count, money {amount, currency} or null, recipients
    risk: str  # low, medium, high


def assess(kind: str, intent: Intent) -> Exposure:
    """The exposure of an action. An effect in doubt is never of low risk: nobody knows yet what it did."""
    reversibility = _reversibility(intent)
    risk = RISKS[reversibility]
    if kind == "in_doubt" and risk == "low":
        risk = "medium"
    args = intent.args
    blast = {"count": _count(args), "money": _money(args), "recipients": list(_recipients(args))[:RECIPIENTS_SHOWN]}
    return Exposure(reversibility=reversibility, blast=blast, risk=risk)


def _reversibility(intent: Intent) -> str:
    if intent.effect_class is EffectClass.READ:
        return "read"
    if intent.effect_class is EffectClass.IRREVERSIBLE:
        return "irreversible"
    return "compensable" if intent.reversible else "reversible"


def _count(args: dict[str, Any]) -> int:
    """How many things one call changes: the longest list among the arguments, else one."""
    return max([1, *(len(value) for value in args.values() if isinstance(value, list))])


def _money(args: dict[str, Any]) -> dict[str, str] | None:
    """The first argument that names an amount, as a decimal string with its currency where one is given."""
    price = price_of(args)
    return {"amount": str(price.amount), "currency": price.currency} if price is not None else None


def _recipients(args: dict[str, Any]) -> Iterator[str]:
    for name in REACHED:
        value = args.get(name, [])
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one:
                yield one[:200]
