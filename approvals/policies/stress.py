"""How long a condition can take: it is run on the heaviest contexts that the limits allow before it is saved.

A measurement on this machine, so it belongs to saving alone; a stored version is never measured again. The hard
bounds (no nested loops, capped sizes) hold without it.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from approvals.policies import expr, syntax
from approvals.policies.facts import FIELDS, ITEMS

LIMIT_SECONDS: Final = 0.010
ARGUMENTS: Final = 12  # how many are filled; more would leave little room for each
FIELDS_OF_RECORD: Final = 12
COMBINATIONS: Final = 49  # of heavy values, spread evenly over all that there are
NOW: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def too_slow(expression: expr.Expression) -> float | None:
    """The seconds of the slowest evaluation if they are over the limit; stops at the first that is.

    What was within it once is not measured again by this process: a table is saved with few conditions changed.
    """
    try:
        _within(expression)
    except _TooSlow as found:
        return found.seconds
    return None


class _TooSlow(Exception):
    """An exception, since those are not remembered: a busy machine refuses for once and not for ever."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@functools.lru_cache(maxsize=8192)
def _within(expression: expr.Expression) -> None:
    for context in _contexts(expression):
        if seconds := _measured(expression, context):
            raise _TooSlow(seconds)


def _measured(expression: expr.Expression, context: dict[str, Any]) -> float:
    """The best of some runs, in processor time: a busy machine refuses nobody; 0 where it is within the limit."""
    best = _once(expression, context)
    if best > LIMIT_SECONDS:
        best = min(best, *(_once(expression, context) for _ in range(3)))
    return best if best > LIMIT_SECONDS else 0.0


def _once(expression: expr.Expression, context: dict[str, Any]) -> float:
    begun = time.thread_time()
    expression.test(expr.reading(context))
    return time.thread_time() - begun


def _contexts(expression: expr.Expression) -> Iterator[dict[str, Any]]:
    """Contexts whose arguments are those of the condition, in many combinations of heavy values."""
    named, others = syntax.fields(expression.source)
    arguments = named[:ARGUMENTS] or ("any",)
    shapes = _shapes(15_000 // len(arguments), others[:FIELDS_OF_RECORD])
    for values in _combinations(shapes, len(arguments)):
        yield _context(dict(zip(arguments, values, strict=True)))


def _combinations(shapes: list[Any], places: int) -> Iterator[Sequence[Any]]:
    """Each shape everywhere, each neighbouring pair in turn, and an even spread over the rest."""
    turns = range(len(shapes))
    yield from ([shapes[turn]] * places for turn in turns)
    yield from ([shapes[(place + turn) % len(shapes)] for place in range(places)] for turn in turns if places > 1)
    stride = max(len(shapes) ** places // COMBINATIONS, 1)
    if places > 1:
        yield from itertools.islice(itertools.product(shapes, repeat=places), 0, stride * COMBINATIONS, stride)


def _shapes(room: int, fields: tuple[str, ...]) -> list[Any]:
    """Heavy values of about `room` bytes each: long texts, long lists of them, of numbers and of maps."""
    items = min(ITEMS, max(room // 8, 1))
    text = "x" * min(room, 4000)
    each = "x" * max(min(room // items - 4, 60), 1)
    record = dict.fromkeys(fields, each)
    return [
        text,
        text[: len(text) // 2] + "y",  # a search for it in the text above fails as late as it can
        [each] * items,
        [each + "y"] * items,
        list(range(items)),
        [record] * max(min(items, room // (16 * len(fields) + 16)), 1),
        1.5,
    ]


def _context(args: dict[str, Any]) -> dict[str, Any]:
    fixed = {name: {key: kind() for key, kind in fields.items()} for name, fields in FIELDS.items()}
    return {**fixed, "args": args, "now": NOW}
