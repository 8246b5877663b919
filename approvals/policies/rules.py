"""A rule as it is evaluated: where it applies, when it holds, what it then does.

Pure, frozen, shared between threads. `document` builds these from a policy file and refuses what is wrong in it.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from approvals.policies.approvers import TierRule
from approvals.policies.expr import Expression
from missions.governance import Intent

COVERINGS = 256  # kept of one table


class Effect(StrEnum):
    """What a rule does where it holds; the order in which they win."""

    DENY = "deny"  # beats all others
    ESCALATE = "escalate"  # people decide
    ALLOW = "allow"  # beats only the default


@functools.lru_cache(maxsize=4096)
def _glob(pattern: str) -> Callable[[str], Any]:
    return re.compile(fnmatch.translate(pattern)).match


def matches(pattern: str, text: str) -> bool:
    """Whether a case-sensitive glob (*, ? and [set]) matches the whole text; linear in the text."""
    return pattern == "*" or pattern == text or _glob(pattern)(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The intents that a rule is about: one case-sensitive glob each, all of which have to match."""

    mission_type: str = "*"
    tool: str = "*"
    effect_class: str = "*"
    agent: str = "*"
    data_class: str = "*"
    decision_class: str = ""  # empty: actions alone, and no decision of a mission

    narrow: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)  # the fields that are not `*`

    def __post_init__(self) -> None:
        names = ("mission_type", "tool", "effect_class", "agent", "data_class")
        patterns = ((name, getattr(self, name)) for name in names)
        object.__setattr__(self, "narrow", tuple((name, pattern) for name, pattern in patterns if pattern != "*"))

    def covers(self, intent: Intent) -> bool:
        """Whether the rule is about this intent."""
        if (self.decision_class or intent.decision_class) and not self._decides(intent):
            return False
        return all(matches(pattern, getattr(intent, name)) for name, pattern in self.narrow)

    def _decides(self, intent: Intent) -> bool:
        """Rules of decisions are not about actions, and the other way round, whatever their patterns."""
        return bool(self.decision_class and intent.decision_class) and matches(
            self.decision_class, intent.decision_class
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Evidence that has to be at hand: what the mission read by the tool `source`."""

    source: str
    max_age_seconds: int | None = None  # when it is ruled on; None: however old
    revalidate: bool = False  # whether it is read again just before the effect, and has to be the same

    def as_json(self) -> dict[str, Any]:
        """The form in which a ruling carries it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of a policy."""

    name: str
    scope: Scope
    when: Expression | None  # None: always
    effect: Effect
    tiers: tuple[TierRule, ...] = ()  # in order; only where the effect is escalate
    evidence: tuple[Demand, ...] = ()  # one a source; not where the effect is deny
    hold_seconds: int = 0  # how long an approval may be undone; only where the effect is escalate
    reason: str = ""  # for people


Covering = tuple[tuple[Rule, dict[str, Any]], ...]  # rules, each with its entry in a trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rules of one policy version, ready to be evaluated."""

    policy: str
    number: int
    enforced: bool  # else in shadow: evaluated and recorded, binds nothing
    rules: tuple[Rule, ...]
    entries: tuple[dict[str, Any], ...] = field(init=False, repr=False, compare=False)  # each rule's in a trace
    _covering: dict[tuple[str, ...], Covering] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(self._entry(rule) for rule in self.rules))

    def covering(self, intent: Intent) -> Covering:
        """The rules about an intent, each with its entry; looked for once for all intents that scopes see alike."""
        alike = (
            intent.mission_type, intent.tool, intent.effect_class, intent.agent, intent.data_class,
            intent.decision_class,
        )
        found = self._covering.get(alike)
        if found is None:
            both = zip(self.rules, self.entries, strict=True)
            found = tuple((rule, entry) for rule, entry in both if rule.scope.covers(intent))
            if len(self._covering) >= COVERINGS:  # names that others make up may be many
                self._covering.clear()
            self._covering[alike] = found
        return found

    @property
    def label(self) -> str:
        """The version as records name it: `refunds v3`."""
        return f"{self.policy} v{self.number}"

    def _entry(self, rule: Rule) -> dict[str, Any]:
        """What a trace says of a rule that does not hold; built once, for most rules of most rulings are such."""
        return {
            "name": rule.name,
            "policy": self.label,
            "mode": "enforce" if self.enforced else "shadow",
            "effect": str(rule.effect),
            "state": "false",
            "fired": False,
            "error": "",
            "failing": "",
        }
