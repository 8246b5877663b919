"""Lists: `{results, next}` by keyset, under opaque cursors.

Pure but for the query that it is given. A page costs the same wherever it lies, and rows that come meanwhile neither
repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from missions.web.problems import problem

DEFAULT_LIMIT, LIMIT = 50, 100
LARGEST = 2**63 - 1
Row = TypeVar("Row", bound=Model)


def cursor_of(*place: int) -> str:
    """A place in an order, as text that callers only hand back."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str, width: int) -> list[int]:
    """The inverse of `cursor_of` for places of `width` numbers. Raises Problem (400) for anything else."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        place = None
    if not isinstance(place, list) or len(place) != width or not all(map(_whole, place)):
        raise problem(400, "bad_cursor", "Use the `next` of the page before, unchanged.")
    return place


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def limit_of(params: Mapping[str, str]) -> int:
    """How many rows the caller wants: `limit`, 50 where it is absent, at most 100. Raises Problem (400)."""
    return min(number_of(params, "limit", DEFAULT_LIMIT, low=1), LIMIT)


def number_of(params: Mapping[str, str], name: str, default: int, *, low: int = 0) -> int:
    """A whole number of the query string. Raises Problem (400)."""
    text = params.get(name, "")
    if not text:
        return default
    if text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= LARGEST:
        return int(text)
    raise problem(400, "bad_parameter", f"{name} must be a whole number from {low}.", parameter=name)


def page(
    rows: QuerySet[Row], limit: int, place: Callable[[Row], tuple[int, ...]], show: Callable[[list[Row]], list[Any]]
) -> dict[str, Any]:
    """One page of rows that are ordered and start after the cursor: reads one more than `limit` to know of a next."""
    found = list(rows[: limit + 1])
    shown = found[:limit]
    more = len(found) > limit
    return {"results": show(shown), "next": cursor_of(*place(shown[-1])) if more else None}
