"""A policy as it was written, checked: all problems at once, or the rules that it makes.

Pure. A problem names its file, rule and field, and for a condition the line and column in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from approvals.models import Mode
from approvals.policies import stress
from approvals.policies.rules import Rule
from approvals.policies.shapes import PolicyShape, RuleShape
from missions.engine import codec
from missions.errors import StandfastError

GOVERNANCE: Final = "governance"  # the policy that says who decides on policies; it rules on nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong. Line and column are those in the condition's own text, from 1."""

    source: str
    rule: str = ""
    field: str = ""
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        rule = f"rule {self.rule}" if self.rule else ""
        place = f" {self.line}:{self.column}" if self.line else ""
        return ": ".join(part for part in (self.source, rule, f"{self.field}{place}", self.message) if part)


class InvalidPolicy(StandfastError):
    """The policy is not valid; see the problems."""

    code = "invalid_policy"

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A checked policy. `mode` is None where the file gives none."""

    name: str
    mode: Mode | None
    written: list[dict[str, Any]]  # the rules as the file has them, plain JSON
    rules: tuple[Rule, ...]

    @property
    def digest(self) -> str:
        """sha256 in hex over the canonical rules: two files with the same rules have the same."""
        return codec.digest_of(self.written)


def check(data: Any, source: str = "policy") -> Document:
    """Check a policy that is about to be saved, the cost of its conditions included. Raises InvalidPolicy."""
    document = parse(data, source)
    problems = [*_slow(document, source), *_without_effect(document, source)]
    if problems:
        raise InvalidPolicy(problems)
    return document


def parse(data: Any, source: str) -> Document:
    """Check a policy's shape and conditions and build its rules. Raises InvalidPolicy."""
    try:
        shape = PolicyShape.model_validate(data)
    except ValidationError as error:
        raise InvalidPolicy(_problems(error, source)) from error
    rules = rules_of(shape.rules, f"{source}: {shape.name}")
    return Document(name=shape.name, mode=Mode(shape.mode) if shape.mode else None, written=shape.rules, rules=rules)


def rules_of(written: Any, source: str) -> tuple[Rule, ...]:
    """The rules of a table as it was written. Raises InvalidPolicy with every problem of every rule."""
    if not isinstance(written, list):
        raise InvalidPolicy([Problem(source=source, field="rules", message="The rules are no list.")])
    rules, problems = [], []
    for number, row in enumerate(written, start=1):
        try:
            rules.append(RuleShape.model_validate(row).build())
        except ValidationError as error:
            problems += _problems(error, source, _called(row, number))
    names = Counter(_called(row, number) for number, row in enumerate(written, start=1))
    problems += [_twice(source, name) for name, count in names.items() if count > 1]
    if problems:
        raise InvalidPolicy(problems)
    return tuple(rules)


def _called(row: Any, number: int) -> str:
    name = row.get("name") if isinstance(row, dict) else None
    return name[:100] if isinstance(name, str) and name else f"number {number}"


def _twice(source: str, name: str) -> Problem:
    return Problem(source=source, rule=name, field="name", message="Two rules have this name.")


def _problems(error: ValidationError, source: str, rule: str = "") -> list[Problem]:
    return [_problem(details, source, rule) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, source: str, rule: str) -> Problem:
    place = details.get("ctx", {}) if details["type"] == "condition" else {}
    wrong_kind = details["type"] in {"model_type", "dict_type"}
    message = "it is no mapping of names to values" if wrong_kind else details["msg"].removeprefix("Value error, ")
    return Problem(
        source=source, rule=rule, field=_field(details["loc"]), line=place.get("line"), column=place.get("column"),
        message=message[:1].upper() + message[1:] + ("" if message.endswith((".", "}")) else "."),
    )


def _field(location: tuple[int | str, ...]) -> str:
    """`tiers[0].quorum`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")


def _slow(document: Document, source: str) -> Iterator[Problem]:
    for rule in document.rules:
        seconds = stress.too_slow(rule.when) if rule.when else None
        if seconds:
            message = f"It takes {seconds * 1000:.0f} ms on large arguments; the limit is 10 ms."
            yield Problem(source=f"{source}: {document.name}", rule=rule.name, field="when", message=message)


def _without_effect(document: Document, source: str) -> Iterator[Problem]:
    """What a rule about policies can not demand; kept silently, its author would rely on it."""
    for rule in document.rules if document.name == GOVERNANCE else ():
        for field, is_set in (("evidence", rule.evidence), ("hold", rule.hold_seconds)):
            if is_set:
                message = f"A change of a policy knows no `{field}`: it is for actions of missions."
                yield Problem(source=f"{source}: {document.name}", rule=rule.name, field=field, message=message)
