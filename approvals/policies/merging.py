"""How the tiers of several escalations become one list. Pure.

The union, in the order of the rules; where two name the same group the stricter demand wins in every respect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from approvals.models import OnExpiry
from approvals.policies.rules import TierRule

# Rejecting ends it, holding waits on, escalating goes on without this group.
STRICTNESS: Final = (OnExpiry.ESCALATE, OnExpiry.HOLD, OnExpiry.REJECT)


def merged(tiers: Iterable[TierRule]) -> tuple[TierRule, ...]:
    """One tier per group: highest quorum, shortest SLA and expiry, strictest end.

    A last tier that would escalate holds instead: there is nobody after it.
    """
    by_group: dict[str, TierRule] = {}
    for tier in tiers:
        by_group[tier.group] = _stricter(by_group[tier.group], tier) if tier.group in by_group else tier
    result = list(by_group.values())
    if result and result[-1].on_expiry is OnExpiry.ESCALATE:
        result[-1] = replace(result[-1], on_expiry=OnExpiry.HOLD)
    return tuple(result)


def _stricter(one: TierRule, other: TierRule) -> TierRule:
    return TierRule(
        group=one.group,
        quorum=max(one.quorum, other.quorum),
        sla_seconds=_shorter(one.sla_seconds, other.sla_seconds),
        expires_seconds=_shorter(one.expires_seconds, other.expires_seconds),
        on_expiry=max(one.on_expiry, other.on_expiry, key=STRICTNESS.index),
    )


def _shorter(one: int | None, other: int | None) -> int | None:
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)
