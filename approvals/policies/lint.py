"""What is suspicious in a table of rules: found when a version is saved, before anybody has to rely on it.

A finding of severity `error` stops the save, a `warning` is shown and stops nothing. Reads the groups, the people and
the registered tools; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from approvals.policies import comparing, probing, staffing, stress
from approvals.policies.implication import covers_scope, fires_wherever
from approvals.policies.rules import Effect, Rule, matches
from approvals.policies.staffing import Staff
from approvals.policies.strictness import Row
from missions.governance import EffectClass
from missions.tools.learning import current_tools
from missions.tools.spec import ToolSpec

STRONGER: Final = {Effect.ALLOW: (Effect.DENY, Effect.ESCALATE), Effect.ESCALATE: (Effect.DENY,), Effect.DENY: ()}
DOES: Final = {Effect.DENY: "denies", Effect.ESCALATE: "asks people"}


class Severity(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"  # the version can not be saved
    WARNING = "warning"  # shown, at the save and on the decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is suspicious. `rule` is empty for what concerns the whole table."""

    rule: str
    field: str
    code: str  # never_true, shadowed, gap, unreachable_quorum, unknown_group, unknown_person, too_slow
    message: str
    severity: Severity = Severity.WARNING


def lint(rules: Sequence[dict[str, Any]], *, timed: bool = True) -> list[Finding]:
    """What is suspicious in these rules, as they are written; their cost is measured only if `timed`, 20 ms each.

    Raises InvalidPolicy where they can not be read.
    """
    return judged(comparing.rows(rules), Staff.of_now(), current_tools(), timed=timed)


def judged(
    rows: Sequence[Row], staff: Staff | None, tools: Sequence[ToolSpec], *, timed: bool = True
) -> list[Finding]:
    """The same without a database: rules by their order, then what concerns the whole. Without staff none is judged."""
    found = [finding for row in rows for finding in _of_rule(row, rows, staff, timed)]
    return [*found, *_gaps(rows, tools)]


def _of_rule(row: Row, rows: Sequence[Row], staff: Staff | None, timed: bool) -> Iterator[Finding]:
    if timed:
        yield from _time(row.rule)
    yield from _truth(row.rule)
    yield from _shadow(row.rule, rows)
    if staff is not None:
        for place, tier in enumerate(row.tiers):
            yield from _people(row.rule, f"tiers[{place}]", tier, staff)


def _time(rule: Rule) -> Iterator[Finding]:
    seconds = stress.too_slow(rule.when) if rule.when else None
    if seconds:
        message = f"It takes {seconds * 1000:.0f} ms on large arguments; the limit is 10 ms."
        yield Finding(rule=rule.name, field="when", code="too_slow", message=message, severity=Severity.ERROR)


def _truth(rule: Rule) -> Iterator[Finding]:
    if rule.when and probing.never_true(rule.when):
        errors = "" if rule.effect is Effect.ALLOW else " It takes effect on an error only."
        message = f"No value that it compares with makes it true.{errors}"
        yield Finding(rule=rule.name, field="when", code="never_true", message=message)


def _shadow(rule: Rule, rows: Sequence[Row]) -> Iterator[Finding]:
    """A rule that never decides, for a stronger one always takes effect where it does."""
    for other in (row.rule for row in rows):
        if other.effect not in STRONGER[rule.effect] or not covers_scope(other.scope, rule.scope):
            continue
        if fires_wherever(other.when, rule.when):
            message = f"It never decides anything: {other.name} {DOES[other.effect]} wherever it applies."
            yield Finding(rule=rule.name, field="effect", code="shadowed", message=message)
            return


def _people(rule: Rule, field: str, tier: Mapping[str, Any], staff: Staff) -> Iterator[Finding]:
    for gap in staffing.gaps(field, tier, staff):
        severity = Severity.WARNING if gap.code == "unreachable_quorum" else Severity.ERROR
        yield Finding(rule=rule.name, field=gap.field, code=gap.code, message=gap.message, severity=severity)


def _gaps(rows: Sequence[Row], tools: Sequence[ToolSpec]) -> Iterator[Finding]:
    """Tools that write, of a family that the table speaks of, which no rule reaches in one of its mission types."""
    scopes = [row.rule.scope for row in rows]
    families = {scope.tool.partition(".")[0] for scope in scopes if "." in scope.tool}
    for tool in tools:
        if tool.effect is EffectClass.READ or tool.name.partition(".")[0] not in families:
            continue
        reaching = [one for one in scopes if matches(one.tool, tool.name) and matches(one.effect_class, tool.effect)]
        for kind in dict.fromkeys(scope.mission_type for scope in scopes):
            if not any(one.mission_type in ("*", kind) for one in reaching):
                message = f"No rule speaks of {tool.name} in missions of type {kind}: it is denied."
                yield Finding(rule="", field="rules", code="gap", message=message)
