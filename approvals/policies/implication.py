"""Whether one rule surely applies wherever another does.

Pure. Only what can be shown from the text counts: equal parts, fewer parts of a conjunction, more of a disjunction, a
bound that is lower, a glob that is wider. Where nothing can be shown the answer is no, so that a no is never a proof.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from approvals.policies import syntax
from approvals.policies.expr import CONVERTS, Expression
from approvals.policies.rules import Scope, matches
from missions.governance import EffectClass

WILD: Final = re.compile(r"[*?\[]")
BOUNDS: Final = frozenset({"<", "<=", ">", ">="})
WEAK: Final = BOUNDS | {"&&", "||", "?", "==", "!=", "in"}  # what binds no stronger than a bound


@dataclass(frozen=True, slots=True)
class Bound:
    """`subject OPERATOR limit`, where the limit is a number as it is written."""

    subject: tuple[str, ...]
    operator: str
    limit: int | float
    is_whole: bool

    def within(self, wide: Bound) -> bool:
        """Whether the other bound holds wherever this does, and fails with an error only where this does."""
        alike = (self.subject, self.operator[0], self.is_whole) == (wide.subject, wide.operator[0], wide.is_whole)
        if not alike:
            return False
        if self.limit == wide.limit:
            return len(wide.operator) >= len(self.operator)
        return self.limit < wide.limit if self.operator[0] == "<" else self.limit > wide.limit

    def meets(self, other: Bound) -> bool:
        """Whether each number is within this bound or the other."""
        if (self.subject, self.is_whole) != (other.subject, other.is_whole) or self.operator[0] == other.operator[0]:
            return False
        below, above = (self, other) if self.operator[0] == "<" else (other, self)
        return above.limit < below.limit or (above.limit == below.limit and "=" in below.operator + above.operator)


def covers_scope(wide: Scope, narrow: Scope) -> bool:
    """Whether every intent of the narrow scope is surely in the wide one."""
    if bool(wide.decision_class) is not bool(narrow.decision_class):
        return False  # the one is about decisions of missions, the other about actions
    names = ("mission_type", "tool", "agent", "data_class", "decision_class")
    reached = [kind for kind in EffectClass if matches(narrow.effect_class, kind)]
    return all(covers_glob(getattr(wide, name), getattr(narrow, name)) for name in names) and all(
        matches(wide.effect_class, kind) for kind in reached
    )


def covers_glob(wide: str, narrow: str) -> bool:
    """Whether every text that the narrow glob matches surely matches the wide one."""
    if wide in ("*", narrow):
        return True
    if not WILD.search(narrow):
        return matches(wide, narrow)
    stem = wide.removesuffix("*")
    return wide.endswith("*") and not WILD.search(stem) and WILD.split(narrow)[0].startswith(stem)


def overlaps(one: Scope, other: Scope) -> bool:
    """Whether some intent may be in both scopes; True where it can not be told."""
    if bool(one.decision_class) is not bool(other.decision_class):
        return False
    names = ("mission_type", "tool", "effect_class", "agent", "data_class", "decision_class")
    return all(overlap(getattr(one, name), getattr(other, name)) for name in names)


def overlap(one: str, other: str) -> bool:
    """Whether some text may match both globs; True where it can not be told."""
    if not WILD.search(one):
        return matches(other, one)
    if not WILD.search(other):
        return matches(one, other)
    stems = sorted((WILD.split(one)[0], WILD.split(other)[0]), key=len)
    return stems[1].startswith(stems[0])


def fires_wherever(wide: Expression | None, narrow: Expression | None) -> bool:
    """Whether `wide` is surely true or an error wherever `narrow` is: for rules that deny or escalate."""
    if wide is None or narrow is None:
        return wide is None
    kept = converts(wide) or not converts(narrow)  # a text that double() can not take is an error of the whole
    return kept and _holds(wide.source, narrow.source)


def true_wherever(wide: Expression | None, narrow: Expression | None) -> bool:
    """Whether `wide` is surely true wherever `narrow` is: for rules that allow."""
    if wide is None or narrow is None:
        return wide is None
    kept = converts(narrow) or not converts(wide)
    return kept and _holds(wide.source, narrow.source)


def bounds(when: Expression | None) -> list[Bound]:
    """The parts of a condition that are bounds."""
    found = [_bound(_words(part)) for part in syntax.conjuncts(when.source)] if when else []
    return [one for one in found if one is not None]


def only_bound(when: Expression | None) -> Bound | None:
    """The condition, where it is one bound and nothing else."""
    return _bound(_words(when.source)) if when else None


def converts(expression: Expression) -> bool:
    """Whether an argument that double() can not take makes the whole condition an error."""
    return CONVERTS.search(expression.source) is not None


def same(one: Expression | None, other: Expression | None) -> bool:
    """Whether two conditions differ in blanks and comments at most."""
    if one is None or other is None:
        return one is other
    return _words(one.source) == _words(other.source)


def _holds(wide: str, narrow: str) -> bool:
    """Whether each part of `wide` follows from a part of `narrow`: true from true, no worse than an error from one."""
    given = [_words(part) for part in syntax.conjuncts(narrow)]
    whole = _words(narrow)
    return all(_follows(_words(part), [*given, whole]) for part in syntax.conjuncts(wide))


def _follows(part: tuple[str, ...], given: Iterable[tuple[str, ...]]) -> bool:
    ways = [part, *_split(part, "||")]
    return any(way == one or _within(one, way) for way in ways for one in given)


def _within(narrow: tuple[str, ...], wide: tuple[str, ...]) -> bool:
    one, other = _bound(narrow), _bound(wide)
    return one is not None and other is not None and one.within(other)


def _bound(words: tuple[str, ...]) -> Bound | None:
    """The words as a bound, where they are one: a subject without weaker operators, a comparison, a number."""
    is_negative = len(words) > 3 and words[-2] == "-" and words[-3] in BOUNDS
    head, sign = (words[:-2], "-") if is_negative else (words[:-1], "")
    if len(head) < 2 or head[-1] not in BOUNDS or not re.fullmatch(r"\d+(\.\d+)?", words[-1]):
        return None
    subject = head[:-1]
    if any(word in WEAK for word in _outermost(subject)):
        return None
    is_whole = "." not in words[-1]
    return Bound(subject, head[-1], (int if is_whole else float)(sign + words[-1]), is_whole)


def _outermost(words: tuple[str, ...]) -> list[str]:
    """The words that stand in no bracket."""
    depth, found = 0, []
    for word in words:
        depth -= word in {")", "]", "}"}
        if depth == 0:
            found.append(word)
        depth += word in {"(", "[", "{"}
    return found


def _split(words: tuple[str, ...], operator: str) -> list[tuple[str, ...]]:
    """The operands of a top-level operator, where nothing binds weaker; none where there is no such operator."""
    outer = _outermost(words)
    if operator not in outer or "?" in outer:
        return []
    parts: list[list[str]] = [[]]
    depth = 0
    for word in words:
        depth += (word in {"(", "[", "{"}) - (word in {")", "]", "}"})
        if depth == 0 and word == operator:
            parts.append([])
        else:
            parts[-1].append(word)
    return [tuple(part) for part in parts]


def _words(source: str) -> tuple[str, ...]:
    """The tokens, comparisons of two signs as one, needless outer brackets gone; the text itself if unreadable."""
    try:
        found = [token.group() for token in syntax.tokens(source)]
    except syntax.Unreadable:
        return (source.strip(),)
    joined: list[str] = []
    for word in found:
        if word == "=" and joined and joined[-1] in {"<", ">", "=", "!"}:
            joined[-1] += word
        else:
            joined.append(word)
    return _bare(tuple(joined))


def _bare(words: tuple[str, ...]) -> tuple[str, ...]:
    """Without brackets around the whole."""
    while len(words) > 2 and words[0] == "(" and words[-1] == ")" and len(_outermost(words)) == 2:
        words = words[1:-1]
    return words
