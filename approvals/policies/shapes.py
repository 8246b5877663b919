"""The shape of a policy file as Pydantic checks it, and the rule that each valid shape builds.

Pure. Unknown fields are refused, types are exact, and a field that its rule would ignore is refused too, so that nobody
relies on it.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from approvals.policies import durations, expr
from approvals.policies.approvers import TierRule
from approvals.policies.rules import Demand, Effect, Rule, Scope, matches
from approvals.policies.texts import Text
from approvals.policies.tier_shapes import Duration, Shape, TierShape, check_row
from missions.governance import EffectClass

MOST_RULES: Final = 500
MOST_TIERS: Final = 10
MOST_SOURCES: Final = 10

Glob = Annotated[Text, Field(max_length=200)]


class ScopeShape(Shape):
    """`scope` of a rule."""

    mission_type: Glob = "*"
    tool: Glob = "*"
    effect_class: Glob = "*"
    agent: Annotated[str, Field(max_length=200)] = "*"  # empty: where no agent acts
    data_class: Annotated[str, Field(max_length=200)] = "*"
    decision_class: Annotated[str, Field(max_length=100)] = ""  # empty: actions, and no decision of a mission

    @model_validator(mode="after")
    def _one_thing(self) -> ScopeShape:
        if self.decision_class and (self.tool, self.effect_class, self.data_class) != ("*", "*", "*"):
            raise ValueError("with `decision_class` it is about decisions: `tool` and the other classes mean nothing")
        return self

    @field_validator("effect_class")
    @classmethod
    def _reaches_something(cls, pattern: str) -> str:
        if not any(matches(pattern, kind) for kind in EffectClass):
            raise ValueError(f"it matches none of {', '.join(EffectClass)}")
        return pattern


class EvidenceShape(Shape):
    """One item of `evidence`."""

    source: Annotated[Text, Field(max_length=200)]
    max_age: Duration | None = None
    revalidate: bool = False

    @field_validator("source")
    @classmethod
    def _is_one_tool(cls, source: str) -> str:
        if any(mark in source for mark in "*?["):
            raise ValueError("a source is the name of one tool, not a pattern")
        return source

    @field_validator("max_age")
    @classmethod
    def _leaves_time(cls, max_age: str | None) -> str | None:
        if max_age is not None and not durations.seconds(max_age):
            raise ValueError("nothing is that fresh; use `revalidate` to have it read again before the effect")
        return max_age

    def build(self) -> Demand:
        """The demand."""
        age = durations.seconds(self.max_age) if self.max_age else None
        return Demand(source=self.source, max_age_seconds=age, revalidate=self.revalidate)


@functools.lru_cache(maxsize=4096)
def _shared(tiers: tuple[TierRule, ...]) -> tuple[TierRule, ...]:
    """The same object for the same tiers: merging those of many rules then looks at each once."""
    return tiers


class RuleShape(Shape):
    """One item of `rules`."""

    name: Annotated[Text, Field(max_length=100)]
    scope: ScopeShape = ScopeShape()
    when: str | None = None
    bar: Annotated[float, Field(gt=0, le=1)] | None = None  # the confidence under which it holds, or without any
    effect: Literal["allow", "deny", "escalate"]
    tiers: Annotated[list[TierShape], Field(max_length=MOST_TIERS)] = []
    evidence: Annotated[list[EvidenceShape], Field(max_length=MOST_SOURCES)] = []
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
    def _sources_differ(cls, evidence: list[EvidenceShape]) -> list[EvidenceShape]:
        twice = [source for source, count in Counter(one.source for one in evidence).items() if count > 1]
        if twice:
            raise ValueError(f"the source {twice[0]} is demanded twice")
        return evidence

    @field_validator("tiers")
    @classmethod
    def _tiers_fit(cls, tiers: list[TierShape]) -> list[TierShape]:
        return check_row(tiers)

    @model_validator(mode="after")
    def _fits_its_effect(self) -> RuleShape:
        effect = Effect(self.effect)
        if (effect is Effect.ESCALATE) != bool(self.tiers):
            raise ValueError("a rule that escalates names its tiers, and no other rule does")
        if effect is not Effect.ESCALATE and durations.seconds(self.hold):
            raise ValueError("only a rule that escalates can `hold`: nobody approves what the others decide")
        if self.bar is not None and not (self.scope.decision_class and effect is Effect.ESCALATE):
            raise ValueError("a `bar` wants `decision_class` in the scope and the effect escalate")
        if self.scope.decision_class and (self.evidence or durations.seconds(self.hold)):
            raise ValueError("`evidence` and `hold` are for actions, not for decisions of a mission")
        if effect is Effect.DENY and self.evidence:
            raise ValueError("a rule that denies needs no `evidence`")
        return self

    def _condition(self) -> str | None:
        """When it holds; a bar is a condition too."""
        if self.bar is None:
            return self.when
        under = f"(!has(decision.confidence) || decision.confidence < {self.bar!r})"
        return under if self.when is None else f"{under} && ({self.when})"

    def build(self) -> Rule:
        """The rule, its condition compiled."""
        return Rule(
            name=self.name,
            scope=Scope(**self.scope.model_dump()),
            when=None if (source := self._condition()) is None else expr.compile_checked(source),
            effect=Effect(self.effect),
            tiers=_shared(tuple(tier.build() for tier in self.tiers)),
            evidence=tuple(demand.build() for demand in self.evidence),
            hold_seconds=durations.seconds(self.hold),
            reason=self.reason or "",
        )


class PolicyShape(Shape):
    """A whole policy; its rules are checked one by one."""

    name: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    mode: Literal["off", "shadow", "enforce"] | None = None
    rules: Annotated[list[Any], Field(min_length=1, max_length=MOST_RULES)]
