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
from missions.governance import EffectClass, Intent, Ruling, RulingOutcome, beyond_clearance

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


@dataclass(slots=True)
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

    Data beyond the mission's clearance is denied, whatever they say. Tables in shadow alone leave the default. A
    context beyond the limits is denied, unless nothing is enforced.
    """
    if (beyond := beyond_clearance(intent)) is not None:
        return beyond
    if not tables:
        return _default(intent, (), "")
    try:
        known = facts.facts_of(intent, now)
    except facts.ContextRefused as error:
        binding = any(table.enforced for table in tables)
        return unjudged(str(error)) if binding else _default(intent, (), "")
    fired, trace = _judged(intent, tables, expr.reading(known.context))
    return _decided(fired, trace, known.digest) or _default(intent, trace, known.digest)


def rulings(intent: Intent, sets: Sequence[Sequence[Table]], now: dt.datetime) -> list[Ruling]:
    """The same as `ruling` for each of several sets of tables, without saying which part of a condition failed.

    What many actions are judged by: the context is checked and read once.
    """
    if (beyond := beyond_clearance(intent)) is not None:
        return [beyond] * len(sets)
    try:
        reading = expr.reading(facts.context_of(intent, now))
    except facts.ContextRefused:
        return [ruling(intent, tables, now) for tables in sets]
    found = []
    for tables in sets:
        fired, trace = _judged(intent, tables, reading, explained=False)
        found.append(_decided(fired, trace, "") or _default(intent, trace, ""))
    return found


def unjudged(why: str) -> Ruling:
    """The ruling where the rules could not be applied: denied, whatever it is."""
    return Ruling(outcome=RulingOutcome.DENY, reason=f"The rules could not be applied, so it is denied. {why}")


def _judged(
    intent: Intent, tables: Sequence[Table], reading: expr.Reading, *, explained: bool = True
) -> tuple[list[Fired], tuple[dict[str, Any], ...]]:
    """The rules that fire and bind, and the trace of all that are in scope."""
    fired, trace = [], []
    for table in tables:
        for rule, entry in table.covering(intent):
            result = rule.when.test(reading) if rule.when else expr.TRUE
            if result.truth is expr.Truth.FALSE:
                trace.append({**entry, "failing": result.failing} if explained else entry)
                continue
            fires = result.truth is expr.Truth.TRUE or rule.effect is not Effect.ALLOW  # an error counts against it
            trace.append({**entry, "state": str(result.truth), "fired": fires, "error": result.message})
            if fires and table.enforced:
                fired.append(Fired(table, rule, result))
    return fired, tuple(trace)


def _decided(fired: Sequence[Fired], trace: tuple[dict[str, Any], ...], digest: str) -> Ruling | None:
    """The strongest effect among the rules that fired; None where none did.

    What is not denied needs the evidence of all that fired: a rule that is outvoted demands it no less.
    """
    for effect, outcome in OUTCOMES.items():
        deciding = [one for one in fired if one.rule.effect is effect]
        if deciding:
            rules = [one.rule for one in deciding]
            demanding = [] if effect is Effect.DENY else [one.rule for one in fired]
            return Ruling(
                outcome=outcome,
                reason=" ".join(dict.fromkeys(one.reason for one in deciding)),
                policy_version=", ".join(dict.fromkeys(one.table.label for one in deciding)),
                rules=tuple(rule.name for rule in rules),
                tiers=tuple(tier.as_json() for tier in merging.tiers(rules)),
                trace=trace,
                hold_seconds=merging.hold(rules),
                evidence=tuple(demand.as_json() for demand in merging.evidence(demanding)),
                context_digest=digest,
            )
    return None


def _default(intent: Intent, trace: tuple[dict[str, Any], ...], digest: str) -> Ruling:
    outcome, reason = RulingOutcome.DENY, "No rule allows this, so it is denied."
    if intent.decision_class:
        outcome, reason = RulingOutcome.ALLOW, "No rule speaks of this decision."
    elif intent.effect_class is EffectClass.READ:
        outcome, reason = RulingOutcome.ALLOW, "No rule speaks of it, and reads are allowed."
    return Ruling(outcome=outcome, reason=reason, trace=trace, context_digest=digest)
