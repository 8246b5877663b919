"""The shape of a policy file as Pydantic checks it, and the rule that each valid shape builds.

Pure. Unknown fields are refused, types are exact, and what is not enforced yet (`evidence`, `hold`) is refused too,
so that nobody relies on it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from approvals.models import OnExpiry
from approvals.policies import durations, expr
from approvals.policies.rules import Effect, Rule, Scope, TierRule, matches
from missions.governance import EffectClass

MOST_RULES: Final = 500
MOST_TIERS: Final = 10


def _plain(text: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t" for character in text):
        raise ValueError("it holds a control character or half a character")
    if text != text.strip() or not text:
        raise ValueError("it is empty, or begins or ends with a blank")
    return text


def _duration(text: str) -> str:
    durations.seconds(text)
    return text


Text = Annotated[str, AfterValidator(_plain)]
Glob = Annotated[Text, Field(max_length=200)]
Duration = Annotated[str, AfterValidator(_duration)]


class Shape(BaseModel):
    """What all shapes share: exact types and no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ScopeShape(Shape):
    """`scope` of a rule."""

    mission_type: Glob = "*"
    tool: Glob = "*"
    effect_class: Glob = "*"
    agent: Annotated[str, Field(max_length=200)] = "*"  # empty: where no agent acts
    data_class: Annotated[str, Field(max_length=200)] = "*"

    @field_validator("effect_class")
    @classmethod
    def _reaches_something(cls, pattern: str) -> str:
        if not any(matches(pattern, kind) for kind in EffectClass):
            raise ValueError(f"it matches none of {', '.join(EffectClass)}")
        return pattern


class TierShape(Shape):
    """One item of `tiers`."""

    group: Annotated[Text, Field(max_length=150)]
    quorum: Annotated[int, Field(ge=1, le=100)] = 1
    sla: Duration | None = None
    expires: Duration | None = None
    on_expiry: Literal["reject", "escalate", "hold"] | None = None

    @model_validator(mode="after")
    def _times_fit(self) -> TierShape:
        tier = self.build()
        if tier.on_expiry is not OnExpiry.HOLD and tier.expires_seconds is None:
            raise ValueError(f"`on_expiry: {tier.on_expiry}` wants `expires` or `sla`")
        if 0 in (tier.sla_seconds, tier.expires_seconds):
            raise ValueError("a time of nothing leaves nobody time to decide")
        if tier.sla_seconds and tier.expires_seconds and tier.sla_seconds > tier.expires_seconds:
            raise ValueError("it would expire before it is due: `sla` is longer than `expires`")
        return self

    def build(self) -> TierRule:
        """The tier, defaults applied: what expires rejects, and without `expires` the SLA is the time to expire."""
        sla = durations.seconds(self.sla) if self.sla else None
        expires = durations.seconds(self.expires) if self.expires else None
        on_expiry = OnExpiry(self.on_expiry or (OnExpiry.HOLD if expires is None else OnExpiry.REJECT))
        if expires is None and on_expiry is not OnExpiry.HOLD:
            expires = sla
        return TierRule(
            group=self.group, quorum=self.quorum, sla_seconds=sla, expires_seconds=expires, on_expiry=on_expiry
        )


class RuleShape(Shape):
    """One item of `rules`."""

    name: Annotated[Text, Field(max_length=100)]
    scope: ScopeShape = ScopeShape()
    when: str | None = None
    effect: Literal["allow", "deny", "escalate"]
    tiers: Annotated[list[TierShape], Field(max_length=MOST_TIERS)] = []
    evidence: list[Any] = []
    hold: Duration = "0s"
    reason: Annotated[Text, Field(max_length=500)] | None = None

    @field_validator("when")
    @classmethod
    def _compiles(cls, source: str | None) -> str | None:
        if source is not None:
            try:
                expr.compile_checked(source)
            except expr.ExpressionError as error:
                place = {"problem": error.message, "line": error.line, "column": error.column}
                raise PydanticCustomError("condition", "{problem}", place) from error
        return source

    @field_validator("evidence")
    @classmethod
    def _no_evidence(cls, evidence: list[Any]) -> list[Any]:
        if evidence:
            raise ValueError("required evidence is not enforced yet, so it is refused; leave it out")
        return evidence

    @field_validator("hold")
    @classmethod
    def _no_hold(cls, hold: str) -> str:
        if durations.seconds(hold):
            raise ValueError("a hold before dispatch is not enforced yet, so it is refused; leave it out")
        return hold

    @field_validator("tiers")
    @classmethod
    def _tiers_fit(cls, tiers: list[TierShape]) -> list[TierShape]:
        twice = [group for group, count in Counter(tier.group for tier in tiers).items() if count > 1]
        if twice:
            raise ValueError(f"the group {twice[0]} has two tiers; raise its quorum instead")
        if tiers and tiers[-1].build().on_expiry is OnExpiry.ESCALATE:
            raise ValueError("the last tier has none to escalate to; use reject or hold")
        return tiers

    @model_validator(mode="after")
    def _tiers_where_asked(self) -> RuleShape:
        if (Effect(self.effect) is Effect.ESCALATE) != bool(self.tiers):
            raise ValueError("a rule that escalates names its tiers, and no other rule does")
        return self

    def build(self) -> Rule:
        """The rule, its condition compiled."""
        return Rule(
            name=self.name,
            scope=Scope(**self.scope.model_dump()),
            when=None if self.when is None else expr.compile_checked(self.when),
            effect=Effect(self.effect),
            tiers=tuple(tier.build() for tier in self.tiers),
            reason=self.reason or "",
        )


class PolicyShape(Shape):
    """A whole policy; its rules are checked one by one."""

    name: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    mode: Literal["off", "shadow", "enforce"] | None = None
    rules: Annotated[list[Any], Field(min_length=1, max_length=MOST_RULES)]
