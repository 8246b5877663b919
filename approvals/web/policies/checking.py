"""What is wrong or suspicious in a draft, rule by rule and field by field. Reads groups and tools; saves nothing.

The same for the page, for the answer while somebody types, and before a save. Each rule is checked by itself and
remembered by what it says, so that a check after a keystroke pays for the rule that changed.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from approvals.policies import document, expr, stress, syntax
from approvals.policies.document import InvalidPolicy, Problem
from approvals.policies.lint import Finding, Severity, lint
from approvals.policies.shapes import MOST_RULES
from approvals.web.policies.fields import Json

MEMBER: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
WHOLE: Final = -1  # the place of what concerns the whole table


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing to say about a rule (by its place from 0) or the table. Line and column are those of the condition."""

    at: int
    field: str = ""
    message: str
    line: int = 0
    column: int = 0
    is_error: bool = True

    @property
    def place(self) -> str:
        """`1:14`, empty where there is none."""
        return f"{self.line}:{self.column}" if self.line else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """All notes of a draft, errors first within a rule, in the order of the rules."""

    notes: tuple[Note, ...]

    @property
    def errors(self) -> int:
        """How many keep it from being saved."""
        return sum(note.is_error for note in self.notes)

    @property
    def warnings(self) -> int:
        """How many keep nothing from being saved."""
        return len(self.notes) - self.errors

    def of(self, at: int) -> list[Note]:
        """The notes of one rule, or of the `WHOLE`."""
        return [note for note in self.notes if note.at == at]

    @property
    def places(self) -> frozenset[int]:
        """The rules that something is said about."""
        return frozenset(note.at for note in self.notes if note.at != WHOLE)


def check(rules: Sequence[Json], *, measured: int | None = None) -> Checked:
    """Check a table. The cost of a condition is measured for the rule `measured` alone: it takes 20 ms each."""
    notes = [*_whole(rules), *_twice(rules)]
    wrong = {note.at for note in notes if note.at != WHOLE}
    for at, rule in enumerate(rules):
        faults = _faults(_key(rule))
        notes += [_note(at, problem) for problem in faults]
        wrong |= {at} if faults else set()
    if measured is not None and measured < len(rules) and measured not in wrong:
        notes += _slow(measured, rules[measured])
    notes += _suspicious(rules, wrong)
    return Checked(notes=tuple(sorted(notes, key=lambda note: (note.at, not note.is_error, note.field))))


def _whole(rules: Sequence[Json]) -> Iterator[Note]:
    if not rules:
        yield Note(at=WHOLE, message="A policy has at least one rule.")
    if len(rules) > MOST_RULES:
        yield Note(at=WHOLE, message=f"It has {len(rules)} rules; the limit is {MOST_RULES}.")


def _twice(rules: Sequence[Json]) -> Iterator[Note]:
    names = [rule.get("name") if isinstance(rule, dict) else None for rule in rules]
    counts = Counter(name for name in names if isinstance(name, str) and name)
    for at, name in enumerate(names):
        if isinstance(name, str) and counts[name] > 1:
            yield Note(at=at, field="name", message="Two rules have this name.")


def _key(rule: Json) -> str:
    return json.dumps(rule, sort_keys=True)


@functools.lru_cache(maxsize=8192)
def _faults(key: str) -> tuple[Problem, ...]:
    """The problems of one rule by itself."""
    try:
        document.rules_of([json.loads(key)], "")
    except InvalidPolicy as error:
        return error.problems
    return ()


def _note(at: int, problem: Problem) -> Note:
    line, column = problem.line or 0, problem.column or 0
    return Note(at=at, field=problem.field, message=problem.message, line=line, column=column)


def _slow(at: int, rule: Json) -> list[Note]:
    seconds = stress.too_slow(expr.compile_checked(rule["when"])) if rule.get("when") else None
    if not seconds:
        return []
    message = f"It takes {seconds * 1000:.0f} ms on large arguments; the limit is 10 ms."
    return [Note(at=at, field="when", message=message)]


def _suspicious(rules: Sequence[Json], wrong: set[int]) -> list[Note]:
    """What the lint says of the rules that can be read."""
    places = {rule["name"]: at for at, rule in enumerate(rules) if at not in wrong}
    found = lint([rule for at, rule in enumerate(rules) if at not in wrong], timed=False) if places else []
    partial = len(places) < len(rules)
    return [_suspicion(one, places) for one in found if not (partial and not one.rule)]


def _suspicion(finding: Finding, places: dict[str, int]) -> Note:
    is_error = finding.severity is Severity.ERROR
    return Note(
        at=places.get(finding.rule, WHOLE), field=finding.field, message=finding.message, is_error=is_error
    )


def marked(condition: str, note: Note) -> tuple[str, str, str]:
    """The text before the token that a note is about, the token, and the text after it."""
    lines = condition.split("\n")
    if not 0 < note.line <= len(lines):
        return condition, "", ""
    start = sum(len(line) + 1 for line in lines[: note.line - 1]) + min(note.column - 1, len(lines[note.line - 1]))
    end = start + len(_token(condition[start:]))
    return condition[:start], condition[start:end] or " ", condition[end:]


def _token(text: str) -> str:
    try:
        found: Any = next(syntax.tokens(text[:200]), None)
    except syntax.Unreadable:
        return text[:1]
    if found is None or found.start():
        return text[:1]
    end = found.end()
    name = MEMBER.match(text, end) if found.group() == "." else None  # CEL names the dot where a field is unknown
    return text[: name.end() if name else end].split("\n")[0]
