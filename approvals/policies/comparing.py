"""How two tables of rules differ, and whether the second is looser.

Pure. `loosens` has no false negatives: where it is False, no intent is ruled less strictly by the new rules, alone or
beside other policies. It may be True for a change that loosens nothing but can not be shown to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from approvals.policies import document, strictness
from approvals.policies.strictness import Row

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of a rule before and after, as written; None where it is left out."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A rule that is in both tables and says something else."""

    name: str
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A rule whose place among those that stay is another. Places count from 1."""

    name: str
    old: int
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a new table changes of an old one, by the names of rules."""

    added: tuple[Json, ...] = ()  # rules as written
    removed: tuple[Json, ...] = ()
    changed: tuple[Change, ...] = ()
    moved: tuple[Move, ...] = ()
    loosens: bool = False
    why: tuple[str, ...] = ()  # of `loosens`, a sentence each

    def as_json(self) -> Json:
        """Plain JSON, for records and the API."""
        return asdict(self)


def compare(old_rules: Sequence[Json], new_rules: Sequence[Json]) -> Comparison:
    """Compare two tables as they are written. Raises InvalidPolicy where one can not be read."""
    why = [told for _, told in strictness.loosened(rows(old_rules), rows(new_rules))]
    old = {str(rule["name"]): rule for rule in old_rules}
    new = {str(rule["name"]): rule for rule in new_rules}
    return Comparison(
        added=tuple(rule for name, rule in new.items() if name not in old),
        removed=tuple(rule for name, rule in old.items() if name not in new),
        changed=tuple(_changes(old, new)),
        moved=tuple(_moves([name for name in old if name in new], [name for name in new if name in old])),
        loosens=bool(why), why=tuple(dict.fromkeys(why)),
    )


def rows(rules: Sequence[Json]) -> list[Row]:
    """Rules as they are evaluated beside how they are written. Raises InvalidPolicy."""
    built = document.rules_of(list(rules), "policy")
    return [Row(rule, written) for rule, written in zip(built, rules, strict=True)]


def _changes(old: dict[str, Json], new: dict[str, Json]) -> Iterator[Change]:
    for name, before in old.items():
        after = new.get(name, before)
        fields = [field for field in dict.fromkeys((*before, *after)) if before.get(field) != after.get(field)]
        if fields:
            told = (FieldChange(field=field, old=before.get(field), new=after.get(field)) for field in fields)
            yield Change(name=name, fields=tuple(told))


def _moves(old: list[str], new: list[str]) -> Iterator[Move]:
    """The names outside the longest run that both lists share."""
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    stayed = {name for block in blocks for name in old[block.a : block.a + block.size]}
    for name in new:
        if name not in stayed:
            yield Move(name=name, old=old.index(name) + 1, new=new.index(name) + 1)


def sentences(comparison: Comparison) -> list[str]:
    """The differences in words, one a line."""
    lines = [f"{rule['name']} is new: {rule['effect']}." for rule in comparison.added]
    lines += [f"{rule['name']} is gone: it was {rule['effect']}." for rule in comparison.removed]
    lines += [f"{change.name}: {_told(one)}" for change in comparison.changed for one in change.fields]
    return lines + [f"{move.name} moves from place {move.old} to {move.new}." for move in comparison.moved]


def _told(change: FieldChange) -> str:
    old, new = (_text(value) for value in (change.old, change.new))
    return f"{change.field} was {old} and is {new}."


def _text(value: Any) -> str:
    """A value in one line: rules hold texts, maps and lists of maps."""
    if value is None:
        return "not given"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items()) or "empty"
    if isinstance(value, list):
        return "; ".join(_text(one) for one in value) or "empty"
    return str(value)
