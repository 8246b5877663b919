"""What the rules in force say of an intent, all together.

Pure: tables, an intent and a time in, a Ruling out. All rules in scope are evaluated, in every table: deny beats
escalate beats allow beats the default (reads are allowed, all else is denied). A rule whose condition fails with an
error counts as if it held where it denies or escalates, and as if it did not where it allows. Shadow tables are
traced and bind nothing. Rules that can not be judged at all (`unjudged`) deny everything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from approvals.policies import expr, facts, merging
from approvals.policies.rules import Effect, Rule, Table
from missions.governance import EffectClass, Intent, Ruling, RulingOutcome

OUTCOMES: Final = {
    Effect.DENY: RulingOutcome.DENY,
    Effect.ESCALATE: RulingOutcome.ESCALATE,
    Effect.ALLOW: RulingOutcome.ALLOW,
}
UNTOLD: Final = {  # for a rule without a reason of its own
    Effect.DENY: "Policy denies this.",
    Effect.ESCALATE: "Policy asks people about this.",
    Effect.ALLOW: "Policy allows this.",
}
COUNTS_AS: Final = {Effect.DENY: "denies", Effect.ESCALATE: "asks"}


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that takes effect, with what came of its condition."""

    table: Table
    rule: Rule
    result: expr.Result

    @property
    def reason(self) -> str:
        """Why, in words for people."""
        told = self.rule.reason or UNTOLD[self.rule.effect]
        if self.result.truth is not expr.Truth.ERROR:
            return told
        effect = COUNTS_AS[self.rule.effect]
        return f"{told} (Rule {self.rule.name} could not be evaluated, so it {effect}: {self.result.message}.)"


def ruling(intent: Intent, tables: Sequence[Table], now: dt.datetime) -> Ruling:
    """The ruling of these tables on an intent, with the trace of every rule in scope.

    Tables in shadow alone leave the default. A context beyond the limits is denied, unless nothing is enforced.
    """
    binding = any(table.enforced for table in tables)
    try:
        reading = expr.reading(facts.context_of(intent, now)) if tables else None
    except facts.ContextRefused as error:
        return unjudged(str(error)) if binding else _default(intent, ())
    fired, trace = _judged(intent, tables, reading) if reading else ([], ())
    return _decided(fired, trace) or _default(intent, trace)


def unjudged(why: str) -> Ruling:
    """The ruling where the rules could not be applied: denied, whatever it is."""
    return Ruling(outcome=RulingOutcome.DENY, reason=f"The rules could not be applied, so it is denied. {why}")


def _judged(
    intent: Intent, tables: Sequence[Table], reading: expr.Reading
) -> tuple[list[Fired], tuple[dict[str, Any], ...]]:
    """The rules that fire and bind, and the trace of all that are in scope."""
    fired, trace = [], []
    for table in tables:
        for rule, entry in zip(table.rules, table.entries, strict=True):
            if not rule.scope.covers(intent):
                continue
            result = rule.when.test(reading) if rule.when else expr.TRUE
            if result is expr.FALSE and rule.when:
                trace.append({**entry, "failing": rule.when.failing(reading)})
                continue
            fires = _fires(rule, result)
            trace.append({**entry, "state": str(result.truth), "fired": fires, "error": result.message})
            if fires and table.enforced:
                fired.append(Fired(table, rule, result))
    return fired, tuple(trace)


def _fires(rule: Rule, result: expr.Result) -> bool:
    """Errors count against the intent."""
    return result.truth is expr.Truth.TRUE or (result.truth is expr.Truth.ERROR and rule.effect is not Effect.ALLOW)


def _decided(fired: Sequence[Fired], trace: tuple[dict[str, Any], ...]) -> Ruling | None:
    """The strongest effect among the rules that fired; None where none did."""
    for effect, outcome in OUTCOMES.items():
        deciding = [one for one in fired if one.rule.effect is effect]
        if deciding:
            tiers = merging.merged(tier for one in deciding for tier in one.rule.tiers)
            return Ruling(
                outcome=outcome,
                reason=" ".join(dict.fromkeys(one.reason for one in deciding)),
                policy_version=", ".join(dict.fromkeys(one.table.label for one in deciding)),
                rules=tuple(one.rule.name for one in deciding),
                tiers=tuple(tier.as_json() for tier in tiers),
                trace=trace,
            )
    return None


def _default(intent: Intent, trace: tuple[dict[str, Any], ...]) -> Ruling:
    if intent.effect_class is EffectClass.READ:
        return Ruling(outcome=RulingOutcome.ALLOW, reason="No rule speaks of it, and reads are allowed.", trace=trace)
    return Ruling(outcome=RulingOutcome.DENY, reason="No rule allows this, so it is denied.", trace=trace)
