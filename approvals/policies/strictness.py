"""In what respects a table of rules demands less than another.

Pure. Sound, not complete: where nothing is found, no intent is ruled less strictly by the new rules, whichever other
policies stand beside them. Strict is: deny, then asking more people, then asking fewer, then allow; no rule at all
denies what writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from approvals.policies import durations
from approvals.policies.implication import bounds, covers_scope, fires_wherever, only_bound, true_wherever
from approvals.policies.rules import Effect, Rule, matches
from missions.governance import EffectClass

Json = dict[str, Any]
ENDS: Final = ("escalate", "hold", "reject")  # what comes of time, the weakest first
OF_ORDER: Final = ("name", "sla_seconds", "calendar", "quorum", "expires_seconds", "on_expiry", "group", "approvers")


@dataclass(frozen=True, slots=True)
class Row:
    """A rule as it is evaluated, beside how it is written."""

    rule: Rule
    written: Json

    @property
    def tiers(self) -> list[Json]:
        """Who has to approve."""
        return [tier.as_json() for tier in self.rule.tiers]

    @property
    def hold_seconds(self) -> int:
        """How long an approval is kept back."""
        return durations.seconds(str(self.written.get("hold") or "0s"))

    @property
    def evidence(self) -> list[Json]:
        """What has to be shown."""
        return list(self.written.get("evidence") or ())


def loosened(old: Sequence[Row], new: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Each respect in which `new` is, or may be, looser: the rule that is to blame and a sentence."""
    yield from _denied_less(_of(old, Effect.DENY), _of(new, Effect.DENY))
    yield from _asked_less(_of(old, Effect.ESCALATE), new)
    yield from _passed_on(_of(old, Effect.ESCALATE), _of(new, Effect.ESCALATE))
    yield from _asked_instead_of_denied(old, _of(new, Effect.ESCALATE))
    yield from _allowed_more(_of(old, Effect.ALLOW), _of(new, Effect.ALLOW))


def _of(rows: Sequence[Row], effect: Effect) -> list[Row]:
    return [row for row in rows if row.rule.effect is effect]


def covering(rows: Sequence[Row], rule: Rule) -> list[Row]:
    """The rows that deny or escalate wherever this rule applies."""
    return [
        row for row in rows
        if covers_scope(row.rule.scope, rule.scope) and fires_wherever(row.rule.when, rule.when)
    ]


def _denied_less(old: Sequence[Row], new: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    for row in old:
        if not covering(new, row.rule):
            yield row, f"{row.rule.name} denied what no single rule denies any more."


def _asked_less(old: Sequence[Row], new: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    for row in old:
        if covering(_of(new, Effect.DENY), row.rule):
            continue
        asking = covering(_of(new, Effect.ESCALATE), row.rule)
        if not asking:
            yield row, f"{row.rule.name} asked people where no single rule asks any more."
            continue
        tiers = [tier for one in asking for tier in one.tiers]
        yield from ((row, told) for tier in row.tiers if (told := _missed(row, tier, tiers)))
        if max(one.hold_seconds for one in asking) < row.hold_seconds:
            yield row, f"{row.rule.name} held an approval back for longer."
        if not _shown(row, [demand for one in asking for demand in one.evidence]):
            yield row, f"{row.rule.name} demanded more evidence, or newer."


def _missed(row: Row, tier: Json, tiers: Sequence[Json]) -> str:
    """What a tier loses; empty where another is as strict."""
    alike = [one for one in tiers if _who(one) == _who(tier)]
    if any(_as_strict(one, tier) for one in alike):
        return ""
    group = named(tier)
    if not alike:
        return f"{row.rule.name} asked {group}, who are no longer asked."
    if max(one["quorum"] for one in alike) < tier["quorum"]:
        return f"{row.rule.name} needed {tier['quorum']} of {group}, and needs fewer now."
    return f"{row.rule.name} was stricter on what happens when the time of {group} is over."


def _who(tier: Json) -> Json:
    """Who is asked and in what manner, without how many, when and in which order."""
    manner = {name: value for name, value in tier.items() if name not in OF_ORDER and value not in (None, False)}
    return {**manner, "who": sorted(map(repr, approvers(tier)))}


def approvers(tier: Json) -> list[Json]:
    """The approvers of a tier; the short form names one group."""
    return list(tier.get("approvers") or [{"group": tier["group"]}])


def named(tier: Json) -> str:
    """A tier's approvers in words."""
    return " or ".join(str(one.get("group") or one.get("person") or one.get("attribute")) for one in approvers(tier))


def _as_strict(tier: Json, before: Json) -> bool:
    return tier["quorum"] >= before["quorum"] and ENDS.index(tier["on_expiry"]) >= ENDS.index(before["on_expiry"])


def _shown(row: Row, demands: Sequence[Json]) -> bool:
    """Whether each demand of the row is among the demands, or a sharper one."""
    return all(any(_as_sharp(one, wanted) for one in demands) for wanted in row.evidence)


def _as_sharp(demand: Json, wanted: Json) -> bool:
    if demand == wanted:
        return True
    ages = [durations.seconds(str(one["max_age"])) if one.get("max_age") else None for one in (demand, wanted)]
    return (
        demand.get("source") == wanted.get("source")
        and bool(demand.get("revalidate")) >= bool(wanted.get("revalidate"))
        and (ages[1] is None or (ages[0] is not None and ages[0] <= ages[1]))
    )


def _passed_on(old: Sequence[Row], new: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Where a tier passes on to the next when its time is over, what else is asked changes how much it has to say."""
    passing = [row for row in (*old, *new) if any(tier["on_expiry"] == "escalate" for tier in row.tiers)]
    if passing and [_asking(row) for row in old] != [_asking(row) for row in new]:
        yield passing[0], f"{passing[0].rule.name} passes on to the next tier in time, and what is asked has changed."


def _asking(row: Row) -> tuple[Any, ...]:
    return row.rule.scope, row.written.get("when"), row.tiers, row.hold_seconds, row.evidence


def _asked_instead_of_denied(old: Sequence[Row], new: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    for row in new:
        only_reads = [kind for kind in EffectClass if matches(row.rule.scope.effect_class, kind)] == [EffectClass.READ]
        if not only_reads and not _spoken_of(old, row.rule):
            yield row, f"{row.rule.name} may ask people about what no rule spoke of: that was denied."


def _spoken_of(rows: Sequence[Row], rule: Rule) -> bool:
    """Whether, wherever the rule fires, one of these did: so that the default did not deny."""
    here = [row for row in rows if covers_scope(row.rule.scope, rule.scope)]
    asking = [row for row in here if row.rule.effect is not Effect.ALLOW]
    allowing = [row for row in here if row.rule.effect is Effect.ALLOW]
    return (
        bool(covering(asking, rule))
        or any(row.rule.when is None for row in allowing)
        or _between_them(asking, allowing, rule)
    )


def _between_them(asking: Sequence[Row], allowing: Sequence[Row], rule: Rule) -> bool:
    """Whether one asks above a bound and another allows below it: all numbers, and errors ask."""
    subjects = {bound.subject for bound in bounds(rule.when)}  # the rule too: then it is a number where the rule holds
    for one in asking:
        bound = only_bound(one.rule.when)
        if bound is None or bound.subject not in subjects:
            continue
        others = (only_bound(other.rule.when) for other in allowing)
        if any(other is not None and bound.meets(other) for other in others):
            return True
    return False


def _allowed_more(old: Sequence[Row], new: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    for row in new:
        before = [
            one for one in old
            if covers_scope(one.rule.scope, row.rule.scope) and true_wherever(one.rule.when, row.rule.when)
        ]
        if not before:
            yield row, f"{row.rule.name} allows what no single rule allowed."
        elif not any(_shown(one, row.evidence) for one in before):
            yield row, f"{row.rule.name} allows with less evidence, or older."
