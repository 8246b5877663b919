"""What one table of rules changes of another, as a page shows it: rule by rule, field by field, line by line. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

import yaml

from approvals.policies import writing
from approvals.policies.comparing import Change, Comparison, compare
from approvals.web.words import Sign

WORD: Final = re.compile(r"\w+|\s+|.", re.DOTALL)
ALIKE: Final = 0.4  # below this a text was rewritten, and marking its shared words helps nobody
MOST_PAIRS: Final = 1_000_000  # of lines, or of words in one: comparing takes their product
KINDS: Final = {
    "added": Sign("Added", "plus", "ok"), "removed": Sign("Removed", "cross", "bad"),
    "changed": Sign("Changed", "retry", "warn"), "moved": Sign("Moved", "handover", ""),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a field: `removed`, `added` or `same`; its pieces, and whether each is what differs."""

    kind: str
    pieces: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a rule."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDifference:
    """One rule that differs."""

    name: str
    sign: Sign
    told: str = ""
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """All that differs, and why it loosens where it does."""

    rules: tuple[RuleDifference, ...]
    comparison: Comparison

    @property
    def counts(self) -> str:
        """`2 added, 1 changed`."""
        numbers = ((kind, len(getattr(self.comparison, kind))) for kind in KINDS)
        return ", ".join(f"{number} {kind}" for kind, number in numbers if number)


def between(old: list[Any], new: list[Any]) -> Difference:
    """The difference of two tables that are valid. Raises InvalidPolicy."""
    found = compare(writing.ordered(old), writing.ordered(new))
    rules = [
        *(_whole("added", rule) for rule in found.added), *(_whole("removed", rule) for rule in found.removed),
        *(_changed(change) for change in found.changed),
        *(
            RuleDifference(name=move.name, sign=KINDS["moved"], told=f"From place {move.old} to {move.new}.")
            for move in found.moved
        ),
    ]  # fmt: skip
    return Difference(rules=tuple(rules), comparison=found)


def _whole(kind: str, rule: dict[str, Any]) -> RuleDifference:
    """A rule that only one of the tables has, with all that it says."""
    old, new = (None, rule) if kind == "added" else (rule, None)
    told = [field(name, _of(old, name), _of(new, name)) for name in rule if name != "name"]
    return RuleDifference(name=str(rule["name"]), sign=KINDS[kind], fields=tuple(told))


def _of(rule: dict[str, Any] | None, name: str) -> Any:
    return rule.get(name) if rule else None


def _changed(change: Change) -> RuleDifference:
    fields = [field for one in change.fields for field in _inner(one.field, one.old, one.new)]
    return RuleDifference(name=change.name, sign=KINDS["changed"], fields=tuple(fields))


def _inner(name: str, old: Any, new: Any) -> Iterator[Field]:
    """The scope by its own fields, every other field as it is."""
    if not all(isinstance(value, dict | None) for value in (old, new)):
        yield field(name, old, new)
        return
    before, after = old or {}, new or {}
    for inner in dict.fromkeys((*before, *after)):
        if before.get(inner) != after.get(inner):
            yield field(f"{name}.{inner}", before.get(inner), after.get(inner))


def field(name: str, old: Any, new: Any) -> Field:
    """One field, before and after: text by its lines, a list by its items. What is too long differs whole."""
    before, after = _lines(old), _lines(new)
    if len(before) == len(after) == 1:
        return Field(name=name, lines=_reworded(before[0], after[0]))
    if len(before) * len(after) > MOST_PAIRS:
        return Field(name=name, lines=(*_all("removed", before), *_all("added", after)))
    return Field(name=name, lines=tuple(_differing(before, after)))


def _all(kind: str, texts: list[str]) -> list[Line]:
    return [Line(kind=kind, pieces=((text, False),)) for text in texts]


def _differing(before: list[str], after: list[str]) -> list[Line]:
    lines: list[Line] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            lines += _all("same", before[a:b])
        elif tag == "replace" and b - a == d - c:
            lines += [line for pair in zip(before[a:b], after[c:d], strict=True) for line in _reworded(*pair)]
        else:
            lines += [*_all("removed", before[a:b]), *_all("added", after[c:d])]
    return lines


def _reworded(old: str, new: str) -> tuple[Line, Line]:
    """A line before and after, with the words that differ marked."""
    before, after = WORD.findall(old), WORD.findall(new)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if len(before) * len(after) > MOST_PAIRS or matcher.ratio() < ALIKE:
        return Line(kind="removed", pieces=((old, False),)), Line(kind="added", pieces=((new, False),))
    gone, come = [], []
    for tag, a, b, c, d in matcher.get_opcodes():
        gone += [("".join(before[a:b]), tag != "equal")] if b > a else []
        come += [("".join(after[c:d]), tag != "equal")] if d > c else []
    return Line(kind="removed", pieces=tuple(gone)), Line(kind="added", pieces=tuple(come))


def _lines(value: Any) -> list[str]:
    """A value as lines: a text by its own, a list by its items, each as the file would have it in one line."""
    if value is None:
        return []
    if isinstance(value, str):
        return value.split("\n")
    if isinstance(value, list):
        return [_flow(item) for item in value]
    return [_flow(value)]


def _flow(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()
