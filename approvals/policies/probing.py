"""Whether a condition can ever be true: it is tried on values at the edges of everything that it compares with.

Pure. Each literal, its neighbours, each value of an enumeration and a missing field are tried in combination. A
condition whose parts this can not all fill, or that has too many, is not judged: finding nothing is then no finding.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

from approvals.policies import expr, syntax
from approvals.policies.facts import FIELDS, ITEMS
from missions.governance import EffectClass, RetrySafety

TRIES: Final = 3000
MISSING: Final = object()
KNOWN: Final = frozenset({"double", "int", "string", "has", "size", "in", "true", "false", "null"})
METHODS: Final = frozenset({"startsWith", "endsWith", "contains"})
ENUMS: Final[dict[tuple[str, str], list[Any]]] = {
    ("tool", "effect_class"): [str(one) for one in EffectClass],
    ("tool", "retry_safety"): [str(one) for one in RetrySafety],
}
NOW: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Field = tuple[str, str]
BASES: Final = frozenset({*FIELDS, "args"})


@functools.lru_cache(maxsize=8192)
def never_true(expression: expr.Expression) -> bool | None:
    """True where no try made it true, False where one did, None where it can not be judged."""
    fields = _fields(expression.source)
    if fields is None:
        return None
    values = [_values(field, expression.source) for field in fields]
    total = 1
    for one in values:
        total *= len(one)
    tries = itertools.product(*values)
    for chosen in itertools.islice(tries, TRIES):
        context = _context(dict(zip(fields, chosen, strict=True)))
        if expression.test(expr.reading(context)).truth is expr.Truth.TRUE:
            return False
    return True if total <= TRIES else None


def _fields(source: str) -> list[Field] | None:
    """The fields that it reads; None where it does something with them that is not understood here."""
    try:
        words = [(token.lastgroup, token.group()) for token in syntax.tokens(source)]
    except syntax.Unreadable:
        return None
    if any(_reckons(words, place) for place in range(len(words))):
        return None
    found: list[Field] = []
    for place, (kind, word) in enumerate(words):
        if kind != "name" or word in KNOWN:
            continue
        before = words[place - 1][1] if place else ""
        field = _read(words, place)
        if before == ".":
            if word in METHODS or (place > 1 and words[place - 2][1] in BASES):
                continue
            return None
        if field is None:
            return None
        found.append(field)
    return list(dict.fromkeys(found))


def _reckons(words: list[tuple[str | None, str]], place: int) -> bool:
    """Whether arithmetic stands here: what makes a sum come out right is in no literal."""
    word = words[place][1]
    signs = word == "-" and (place == 0 or words[place - 1][1] in {"<", ">", "=", "(", "[", ","})
    return words[place][0] == "mark" and word in {"+", "-", "*", "%"} and not signs


def _read(words: list[tuple[str | None, str]], place: int) -> Field | None:
    """`args.amount` or `args["amount"]` at this place."""
    base, following = words[place][1], words[place + 1 : place + 3]
    if base not in BASES:
        return None
    if len(following) == 2 and following[0][1] == "." and following[1][0] == "name":
        return base, following[1][1].strip("`")
    if len(following) == 2 and following[0][1] == "[" and following[1][0] == "text":
        return base, following[1][1].strip("'\"")
    return None


def _values(field: Field, source: str) -> list[Any]:
    """What to try for a field."""
    if field in ENUMS:
        return ENUMS[field]
    base, name = field
    if base != "args" and FIELDS[base].get(name) is bool:
        return [True, False]
    texts = list(_texts(source))
    if base != "args" and FIELDS[base].get(name) is str:
        return [*texts, "".join(texts), "".join(reversed(texts)), "something else", ""]
    numbers = sorted({near for number in _numbers(source) for near in _near(number)} or {1, 0, -1})
    written = [str(number) for number in numbers] if re.search(r"\b(double|int)\b", source) else []
    sizes = [number for number in numbers if isinstance(number, int) and 0 <= number <= ITEMS]
    sized = [make * size for size in sizes for make in ("x", [0])] if "size" in source else []
    joined = ["".join(texts) or "x", "".join(reversed(texts))]
    return [*numbers, *written, *texts, *joined, *sized, True, False, None, MISSING]


def _texts(source: str) -> Iterator[str]:
    for token in syntax.tokens(source):
        if token.lastgroup == "text":
            yield token.group().lstrip("rRbB").strip("'\"")


def _numbers(source: str) -> Iterator[int | float]:
    for token in syntax.tokens(source):
        if token.lastgroup == "number" and re.fullmatch(r"\d+(\.\d+)?", token.group()):
            yield float(token.group()) if "." in token.group() else int(token.group())


def _near(number: int | float) -> Iterator[int | float]:
    for sign in (1, -1):
        yield from (sign * number - 1, sign * number, sign * number + 1)
        if isinstance(number, float):
            yield from (sign * number - 0.001, sign * number + 0.001)


def _context(chosen: dict[Field, Any]) -> dict[str, Any]:
    context: dict[str, Any] = {name: {} for name in (*FIELDS, "args")}
    for (base, name), value in chosen.items():
        if value is not MISSING:
            context[base][name] = value
    return {**context, "now": NOW}
