"""Factories of policies: intents, rows of a table, tables, rulings."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from approvals.policies import document, evaluate, expr, facts
from approvals.policies.rules import Table
from missions.governance import EffectClass, Intent, RetrySafety, Ruling

NOW = dt.datetime(2026, 3, 2, 9, 30, tzinfo=dt.UTC)  # a Monday
TIERS = [{"group": "supervisors", "quorum": 1, "sla": "4h"}]


def intent(**fields: Any) -> Intent:
    """An intent to refund 750.00."""
    values: dict[str, Any] = {
        "mission_uid": uuid.UUID(int=7), "mission_type": "refund", "mission_title": "Refund ORD-1001", "owner_id": 5,
        "tool": "payments.refund", "args": {"order_id": "ORD-1001", "amount": "750.00"},
        "effect_class": EffectClass.WRITE, "retry_safety": RetrySafety.KEYED, "reversible": True, **fields,
    }  # fmt: skip
    return Intent(**values)


def row(name: str, effect: str, when: str | None = None, **fields: Any) -> dict[str, Any]:
    """A rule as a file has it; one that escalates asks the supervisors."""
    tiers = {"tiers": TIERS} if effect == "escalate" else {}
    return {"name": name, "effect": effect, **({"when": when} if when else {}), **tiers, **fields}


def table(*rows: dict[str, Any], policy: str = "refunds", number: int = 3, enforced: bool = True) -> Table:
    """A policy version of these rules, in force."""
    return Table(policy=policy, number=number, enforced=enforced, rules=document.rules_of(list(rows), policy))


def ruled(*tables: Table, asked: Intent | None = None) -> Ruling:
    """What these tables say of an intent."""
    return evaluate.ruling(asked or intent(), tables, NOW)


def result_of(source: str, **fields: Any) -> expr.Result:
    """What comes of a condition on an intent; `args` and the like as `intent` takes them."""
    return expr.compile_checked(source).test(expr.reading(facts.context_of(intent(**fields), NOW)))
