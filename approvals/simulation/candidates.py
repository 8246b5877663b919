"""The tables that a simulation evaluates: what is in force, and the same with a candidate in its policy's place.

A candidate is taken as if it were enforced, whatever its policy's mode: a simulation that binds nothing shows nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from approvals.models import PolicyVersion
from approvals.policies import evaluate, versions
from approvals.policies.document import InvalidPolicy, Problem
from approvals.policies.rules import Table
from missions.errors import StandfastError
from missions.governance import Intent, Ruling

logger = logging.getLogger(__name__)
Tables = tuple[Table, ...]
Reference = tuple[str, int, bool]  # policy, number, whether it is enforced


class UnknownPolicy(StandfastError):
    """There is no such policy, or no such version of it."""

    code = "unknown_policy"


def version_of(name: str, number: int) -> PolicyVersion:
    """A version of any state. Raises UnknownPolicy."""
    rows = PolicyVersion.objects.select_related("policy")
    found = rows.filter(policy__name=name, number=number).first() if 0 < number < 2**31 else None
    if found is None:
        raise UnknownPolicy(f"There is no version {number} of a policy {name!r}.")
    return found


def table_of(version: PolicyVersion, *, enforced: bool = True) -> Table:
    """A version's rules, ready to be evaluated. Raises InvalidPolicy."""
    return versions.table(version.pk, version.digest, enforced)


def in_force() -> Tables:
    """What is evaluated now. Raises InvalidPolicy where something that binds can not be read."""
    force = versions.in_force()
    if force.unreadable:
        raise InvalidPolicy([Problem(source="in force", message=force.unreadable)])
    return force.tables


def references(tables: Iterable[Table]) -> list[Reference]:
    """What names these tables, so that a run that takes long keeps to them."""
    return [(table.policy, table.number, table.enforced) for table in tables]


def resolved(references: Iterable[Sequence[Any]]) -> Tables:
    """The tables that references name. Raises UnknownPolicy, InvalidPolicy."""
    return tuple(table_of(version_of(name, number), enforced=enforced) for name, number, enforced in references)


def replaced(tables: Tables, candidate: Table) -> Tables:
    """The tables with the candidate in the place of its policy's own, in the order of policies, which tiers follow."""
    others = [table for table in tables if table.policy != candidate.policy]
    return tuple(sorted([*others, candidate], key=lambda table: table.policy))


def judged(intent: Intent, tables: Tables, now: dt.datetime) -> Ruling:
    """What these tables say of an intent; an evaluation that breaks denies, as it would at the gate."""
    try:
        return evaluate.ruling(intent, tables, now)
    except Exception as error:  # the gate would deny and go on, and so does whoever wants to know what it would say
        logger.exception("A simulated ruling broke", extra={"action": "ruling_broke", "tool": intent.tool})
        return evaluate.unjudged(f"The evaluation broke: {type(error).__name__}.")


def judged_by_each(intent: Intent, sets: Sequence[Tables], now: dt.datetime) -> list[Ruling]:
    """What each of several sets of tables says; as `judged`, but faster, and without the part that failed."""
    try:
        return evaluate.rulings(intent, sets, now)
    except Exception:  # then each for itself: one that breaks says nothing of the others
        logger.exception("Simulated rulings broke", extra={"action": "ruling_broke", "tool": intent.tool})
        return [judged(intent, tables, now) for tables in sets]


def oversized(size: int) -> Ruling:
    """The ruling on arguments that are too large for any rule to read."""
    return evaluate.unjudged(f"The arguments take {size:,} bytes, more than rules may read.")
