"""How the demands of several rules become one: their tiers, their evidence, their holds. Pure.

The union, in the order of the rules; where two ask the same approvers, or for the same source, the stricter demand wins
in every respect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from approvals.models import OnExpiry
from approvals.policies.approvers import TierRule
from approvals.policies.rules import Demand, Rule

# Rejecting ends it, holding waits on, escalating goes on without this tier.
STRICTNESS: Final = (OnExpiry.ESCALATE, OnExpiry.HOLD, OnExpiry.REJECT)


def tiers(rules: Iterable[Rule]) -> tuple[TierRule, ...]:
    """One tier per set of approvers: highest quorum, shortest SLA and expiry, strictest end.

    Tiers open together only where all rules that ask for them say so, and after the tier before which their rule put
    them; a name that two tiers have is told apart by the rule. A last tier that would escalate holds instead: there is
    nobody after it.
    """
    union = _Union()
    for rule in {id(rule.tiers): rule for rule in rules}.values():
        union.add(rule)
    return union.result()


class _Union:
    """The tiers so far, in order."""

    def __init__(self) -> None:
        self._tiers: list[TierRule] = []
        self._names: set[str] = set()
        self._asked: dict[tuple[str, ...], int] = {}  # where each set of approvers stands

    def add(self, rule: Rule) -> None:
        """Take in one rule's tiers: first each finds its place, for they may name one another, then they are merged."""
        known = len(self._tiers)
        places: dict[str, int] = {}  # of this rule's tiers, by the name that it gives them
        before = -1
        for tier in rule.tiers:
            place = self._asked.get(tier.asks)
            if place is None:
                place = self._append(tier, rule, parallel=tier.parallel and before == len(self._tiers) - 1)
            places[tier.name] = before = place
        for tier in rule.tiers:
            wanted = self._renamed(tier, places)
            place = places[tier.name]
            old = self._tiers[place]
            if place < known:
                self._tiers[place] = _stricter(old, wanted)
            elif wanted.distinct_from != old.distinct_from:
                self._tiers[place] = replace(old, distinct_from=wanted.distinct_from)

    def _append(self, tier: TierRule, rule: Rule, *, parallel: bool) -> int:
        name, count = tier.name, 1
        while name in self._names:
            name, count = f"{tier.name} ({rule.name}{f' {count}' if count > 1 else ''})", count + 1
        self._names.add(name)
        self._asked[tier.asks] = len(self._tiers)
        same = (name, parallel) == (tier.name, tier.parallel)
        self._tiers.append(tier if same else replace(tier, name=name, parallel=parallel))
        return len(self._tiers) - 1

    def _renamed(self, tier: TierRule, places: dict[str, int]) -> TierRule:
        """The tier, with the others that it names called as they are called here."""
        if not tier.distinct_from:
            return tier
        return replace(tier, distinct_from=tuple(self._tiers[places[name]].name for name in tier.distinct_from))

    def result(self) -> tuple[TierRule, ...]:
        """All of them; those after which nobody is asked do not escalate."""
        for place in range(len(self._tiers) - 1, -1, -1):
            tier = self._tiers[place]
            if tier.on_expiry is OnExpiry.ESCALATE:
                self._tiers[place] = replace(tier, on_expiry=OnExpiry.HOLD)
            if not tier.parallel:
                break
        return tuple(self._tiers)


def _stricter(one: TierRule, other: TierRule) -> TierRule:
    return replace(
        one,
        quorum=max(one.quorum, other.quorum),
        parallel=one.parallel and other.parallel,
        distinct_from=_both(one.distinct_from, other.distinct_from),
        calendar=one.calendar if one.calendar == other.calendar else "",  # the clock is never later than a calendar
        sla_seconds=_shorter(one.sla_seconds, other.sla_seconds),
        expires_seconds=_shorter(one.expires_seconds, other.expires_seconds),
        on_expiry=max(one.on_expiry, other.on_expiry, key=STRICTNESS.index),
    )


def _both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Distinct from what either names; none named means all."""
    return None if one is None or other is None else tuple(dict.fromkeys((*one, *other)))


def _shorter(one: int | None, other: int | None) -> int | None:
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)


def evidence(rules: Iterable[Rule]) -> tuple[Demand, ...]:
    """One demand per source: the shortest age, and read again where any rule wants that."""
    by_source: dict[str, Demand] = {}
    for demand in (demand for rule in rules for demand in rule.evidence):
        known = by_source.get(demand.source, demand)
        by_source[demand.source] = Demand(
            source=demand.source, max_age_seconds=_shorter(known.max_age_seconds, demand.max_age_seconds),
            revalidate=known.revalidate or demand.revalidate,
        )
    return tuple(by_source.values())


def hold(rules: Sequence[Rule]) -> float:
    """The longest hold, in seconds."""
    return float(max((rule.hold_seconds for rule in rules), default=0))
