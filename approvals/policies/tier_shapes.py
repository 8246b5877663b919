"""The shape of a tier in a policy file, long and short, and the tier that it builds.

Pure. `{group: finance, quorum: 2}` is short for one approver; `any_of` and `all_of` name several.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from approvals.models import OnExpiry
from approvals.policies import durations
from approvals.policies.approvers import ATTRIBUTES, Approver, Sort, TierRule
from approvals.policies.texts import Text

MOST_APPROVERS = 20


def _duration(text: str) -> str:
    durations.seconds(text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Named = Annotated[Text, Field(max_length=150)]


class Shape(BaseModel):
    """What all shapes share: exact types and no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StandInShape(Shape):
    """`fallback` of an approver: who is asked where the attribute leads to nobody."""

    group: Named | None = None
    person: Named | None = None

    @model_validator(mode="after")
    def _is_one(self) -> StandInShape:
        if (self.group is None) == (self.person is None):
            raise ValueError("name either a `group` or a `person`")
        return self

    def build(self) -> Approver:
        """The approver."""
        sort, name = (Sort.GROUP, self.group) if self.group else (Sort.PERSON, self.person)
        return Approver(sort=sort, name=name or "")


class ApproverShape(Shape):
    """One item of `any_of` or `all_of`."""

    group: Named | None = None
    person: Named | None = None
    attribute: Named | None = None
    fallback: StandInShape | None = None

    @field_validator("attribute")
    @classmethod
    def _is_known(cls, attribute: str | None) -> str | None:
        if attribute is not None and attribute not in ATTRIBUTES:
            raise ValueError(f"it is none of {', '.join(ATTRIBUTES)}")
        return attribute

    @model_validator(mode="after")
    def _is_one(self) -> ApproverShape:
        if sum(name is not None for name in (self.group, self.person, self.attribute)) != 1:
            raise ValueError("name one of `group`, `person` and `attribute`")
        if (self.attribute is None) != (self.fallback is None):
            raise ValueError("an `attribute` wants a `fallback` for when it leads to nobody, and nothing else does")
        return self

    def build(self) -> Approver:
        """The approver, with who stands in for it."""
        fallback = self.fallback.build() if self.fallback else None
        for sort, name in ((Sort.GROUP, self.group), (Sort.PERSON, self.person), (Sort.ATTRIBUTE, self.attribute)):
            if name is not None:
                return Approver(sort=sort, name=name, fallback=fallback)
        raise TypeError("an approver without a name was let through")


class TierShape(Shape):
    """One item of `tiers`."""

    name: Named | None = None
    group: Named | None = None
    any_of: Annotated[list[ApproverShape], Field(min_length=1, max_length=MOST_APPROVERS)] | None = None
    all_of: Annotated[list[ApproverShape], Field(min_length=1, max_length=MOST_APPROVERS)] | None = None
    quorum: Annotated[int, Field(ge=1, le=100)] | None = None
    parallel: bool = False
    distinct_from: list[Named] | None = None
    calendar: Annotated[Text, Field(max_length=100)] | None = None
    sla: Duration | None = None
    expires: Duration | None = None
    on_expiry: Literal["reject", "escalate", "hold"] | None = None

    @model_validator(mode="after")
    def _approvers_fit(self) -> TierShape:
        if sum(given is not None for given in (self.group, self.any_of, self.all_of)) != 1:
            raise ValueError("a tier has one of `group`, `any_of` and `all_of`")
        if self.name is None and self.group is None:
            raise ValueError("a tier of several approvers wants a `name`")
        tier = self.build()
        if len(set(tier.approvers)) < len(tier.approvers):
            raise ValueError("it names the same approver twice")
        if self.all_of is not None and self.quorum is not None:
            raise ValueError("`all_of` wants everyone, so it has no `quorum`")
        persons = all(approver.sort is Sort.PERSON for approver in tier.approvers)
        if persons and tier.quorum > len(tier.approvers):
            raise ValueError(f"{len(tier.approvers)} people can not give {tier.quorum} approvals")
        return self

    @model_validator(mode="after")
    def _times_fit(self) -> TierShape:
        tier = self.build()
        if tier.on_expiry is not OnExpiry.HOLD and tier.expires_seconds is None:
            raise ValueError(f"`on_expiry: {tier.on_expiry}` wants `expires` or `sla`")
        if 0 in (tier.sla_seconds, tier.expires_seconds):
            raise ValueError("a time of nothing leaves nobody time to decide")
        if not self.calendar and tier.sla_seconds and tier.expires_seconds and tier.sla_seconds > tier.expires_seconds:
            raise ValueError("it would expire before it is due: `sla` is longer than `expires`")
        return self

    def build(self) -> TierRule:
        """The tier, defaults applied: what expires rejects, and without `expires` the SLA is the time to expire."""
        sla = durations.seconds(self.sla) if self.sla else None
        expires = durations.seconds(self.expires) if self.expires else None
        on_expiry = OnExpiry(self.on_expiry or (OnExpiry.HOLD if expires is None else OnExpiry.REJECT))
        if expires is None and on_expiry is not OnExpiry.HOLD:
            expires = sla
        approvers = self._approvers()
        return TierRule(
            name=self.name or self.group or "", approvers=approvers, all_of=self.all_of is not None,
            quorum=len(approvers) if self.all_of is not None else self.quorum or 1, parallel=self.parallel,
            distinct_from=None if self.distinct_from is None else tuple(self.distinct_from),
            calendar=self.calendar or "", sla_seconds=sla, expires_seconds=expires, on_expiry=on_expiry,
        )

    def _approvers(self) -> tuple[Approver, ...]:
        if self.group is not None:
            return (Approver(sort=Sort.GROUP, name=self.group),)
        return tuple(approver.build() for approver in self.any_of or self.all_of or ())


def check_row(tiers: list[TierShape]) -> list[TierShape]:
    """The tiers of one rule, if they fit together. Raises ValueError."""
    built = [tier.build() for tier in tiers]
    twice = [one for one, count in Counter(tier.asks for tier in built).items() if count > 1]
    if twice:
        [first, *_] = [tier for tier in built if tier.asks == twice[0]]
        known = f"the group {first.approvers[0].name} has" if "group" in first.as_json() else "the same approvers have"
        raise ValueError(f"{known} two tiers; raise its quorum instead")
    names = [tier.name for tier in built]
    if len(set(names)) < len(names):
        raise ValueError(f"two tiers are called {next(name for name in names if names.count(name) > 1)}")
    for tier in built:
        strange = [name for name in tier.distinct_from or () if name not in names or name == tier.name]
        if strange:
            raise ValueError(f"`distinct_from` of {tier.name} names {strange[0]}, which is no other tier of this rule")
    if built and built[0].parallel:
        raise ValueError("the first tier has none before it to be parallel to")
    if any(tier.on_expiry is OnExpiry.ESCALATE for tier in last_stage(built)):
        raise ValueError("the last tier has none to escalate to; use reject or hold")
    return tiers


def last_stage(tiers: list[TierRule]) -> list[TierRule]:
    """The tiers that open last, all together: those after which nobody else is asked."""
    start = next((at for at in range(len(tiers) - 1, -1, -1) if not tiers[at].parallel), 0)
    return tiers[start:]
