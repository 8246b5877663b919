"""Tiers as policy asks for them, read from a ruling's JSON. Pure.

Both forms are taken: the short one, `{group, quorum, …}`, and the whole one, with a name and approvers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from approvals.models import OnExpiry, Tier

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approver:
    """Who may vote: a group, a person by username, or an attribute with what stands in where it leads to nobody."""

    group: str = ""
    person: str = ""
    attribute: str = ""
    fallback: Approver | None = None

    @classmethod
    def from_json(cls, data: Json) -> Approver:
        """The inverse of `as_json`."""
        fallback = data.get("fallback")
        return cls(
            group=data.get("group") or "", person=data.get("person") or "", attribute=data.get("attribute") or "",
            fallback=cls.from_json(fallback) if fallback else None,
        )

    def as_json(self) -> Json:
        """The form of a policy file; what is absent is left out."""
        told: Json = {name: value for name in ("group", "person", "attribute") if (value := getattr(self, name))}
        return {**told, "fallback": self.fallback.as_json()} if self.fallback else told

    @property
    def key(self) -> tuple[str, ...]:
        """The same for approvers that demand the same."""
        return (self.group, self.person, self.attribute, *(self.fallback.key if self.fallback else ()))

    @property
    def label(self) -> str:
        """In words."""
        return self.group or self.person or self.attribute


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPlan:
    """A tier as policy asks for it. `group` alone is one group approver of that name."""

    group: str = ""
    quorum: int = 1  # different people; where all are needed, one for each
    sla_seconds: int | None = None
    expires_seconds: int | None = None
    on_expiry: str = OnExpiry.HOLD
    name: str = ""
    approvers: tuple[Approver, ...] = ()
    all_of: bool = False
    parallel: bool = False  # opens together with the tier before it
    distinct_from: tuple[str, ...] | None = None  # names of tiers; None: all others
    calendar: str = ""

    @classmethod
    def from_json(cls, data: Json) -> TierPlan:
        """From a ruling's tier, in the short form or the whole one."""
        apart = data.get("distinct_from")
        return cls(
            group=data.get("group") or "", quorum=max(1, int(data.get("quorum") or 1)),
            sla_seconds=data.get("sla_seconds"), expires_seconds=data.get("expires_seconds"),
            on_expiry=OnExpiry(data.get("on_expiry") or OnExpiry.HOLD), name=data.get("name") or "",
            approvers=tuple(map(Approver.from_json, data.get("approvers") or ())), all_of=bool(data.get("all_of")),
            parallel=bool(data.get("parallel")), distinct_from=None if apart is None else tuple(apart),
            calendar=data.get("calendar") or "",
        )

    @classmethod
    def of_row(cls, tier: Tier) -> TierPlan:
        """What a tier of a decision demands."""
        specs = tuple(Approver.from_json(one.spec) for one in tier.approvers.all())
        apart = tier.distinct_from
        return cls(
            name=tier.label, approvers=specs, quorum=tier.quorum, all_of=tier.all_of,
            distinct_from=None if apart is None else tuple(apart),
        )

    @property
    def seats(self) -> tuple[Approver, ...]:
        """Its approvers in either form."""
        return self.approvers or (Approver(group=self.group),)

    @property
    def label(self) -> str:
        """Its name, or that of its first approver."""
        return self.name or self.seats[0].label

    @property
    def need(self) -> int:
        """How many different people it takes."""
        return len(self.seats) if self.all_of else self.quorum

    @property
    def only_group(self) -> str:
        """The group, where one group alone may vote."""
        return self.seats[0].group if len(self.seats) == 1 else ""

    @property
    def key(self) -> tuple[bool, tuple[tuple[str, ...], ...]]:
        """The same for tiers that ask the same approvers in the same way, whatever the quorum."""
        return self.all_of and len(self.seats) > 1, tuple(sorted(seat.key for seat in self.seats))

    @property
    def demands(self) -> tuple[frozenset[int], ...]:
        """For each vote that it takes, the approvers, by position, that may give it."""
        everyone = range(len(self.seats))
        if self.all_of:
            return tuple(frozenset([position]) for position in everyone)
        return (frozenset(everyone),) * self.quorum


def plans_of(tiers: Iterable[Json]) -> list[TierPlan]:
    """The tiers of a ruling in order, under names that are unique."""
    taken: set[str] = set()
    found = []
    for plan in map(TierPlan.from_json, tiers):
        name = unique(plan.label, taken)
        taken.add(name)
        found.append(replace(plan, name=name))
    return found


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, with a number where it is taken already."""
    known = set(taken)
    numbered = (name if count == 1 else f"{name[:140]} ({count})" for count in range(1, len(known) + 2))
    return next(one for one in numbered if one not in known)


def conflict(one: TierPlan, other: TierPlan) -> bool:
    """Whether two tiers need different people: one names the other, or neither says anything of it."""
    if one.distinct_from is None and other.distinct_from is None:
        return True
    return other.label in (one.distinct_from or ()) or one.label in (other.distinct_from or ())


def apart(plans: Sequence[TierPlan], index: int) -> list[int]:
    """The orders, from 1, of the tiers that need other people than the one at this index."""
    own = plans[index]
    return [order for order, plan in enumerate(plans, 1) if order != index + 1 and conflict(own, plan)]


def stages(plans: Sequence[TierPlan]) -> list[int]:
    """The stage of each tier, from 1; tiers of one stage are open at once."""
    found: list[int] = []
    for plan in plans:
        found.append(found[-1] if found and plan.parallel else (found[-1] + 1 if found else 1))
    return found
