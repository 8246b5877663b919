"""What is different between two rulings on the same action. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from approvals.models import Change
from missions.governance import Ruling, RulingOutcome

STRICTNESS: Final = (RulingOutcome.ALLOW, RulingOutcome.ESCALATE, RulingOutcome.DENY)
Tier = Mapping[str, Any]


def change_of(was: Ruling, would: Ruling) -> Change | None:
    """How a ruling differs from what was ruled; None where it does not. Reasons and rules are no difference."""
    if was.outcome is not would.outcome:
        return Change(f"{was.outcome}_{would.outcome}")
    if would.outcome is RulingOutcome.ESCALATE and demands(was.tiers) != demands(would.tiers):
        return Change.ESCALATE_OTHER
    return None


def is_looser(would: Ruling, present: Ruling) -> bool:
    """Whether a ruling is less strict: a weaker outcome, or one that asks fewer or other people."""
    mine, theirs = STRICTNESS.index(would.outcome), STRICTNESS.index(present.outcome)
    if mine != theirs or would.outcome is not RulingOutcome.ESCALATE:
        return mine < theirs
    asked = demands(would.tiers)
    return any(asked.get(approvers, 0) < number for approvers, number in demands(present.tiers).items())


def demands(tiers: Iterable[Tier]) -> dict[str, int]:
    """How many of whom have to approve. Times are no demand: nothing that time does approves."""
    found: dict[str, int] = {}
    for tier in tiers:
        approvers = tier.get("approvers") or [{"group": tier["group"]}]
        every = bool(tier.get("all_of"))
        key = json.dumps([approvers, every], sort_keys=True)
        found[key] = max(found.get(key, 0), len(approvers) if every else int(tier["quorum"]))
    return found


def name_of(tier: Tier) -> str:
    """What people call a tier: its name, else its group's."""
    return str(tier.get("name") or tier.get("group") or "?")
