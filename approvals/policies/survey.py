"""A quick look over JSON values: is there surely nothing in them that `facts` would refuse or distrust?

Pure. Level by level and with the loops of C, since rulings wait for it; whoever is told "not surely" looks closely.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any, Final

PLAIN: Final = frozenset({str, int, float, bool, type(None), list, dict})
# The beginning of a line that double() might read as NaN, as infinite or as beyond any amount.
SUSPECT = re.compile(r"^\s*[+-]?(?:nan|inf|0x|[\d._]*(?:\d{80}|e))", re.IGNORECASE | re.MULTILINE | re.ASCII)


def levels(value: Any) -> Iterator[list[Any]]:
    """The value, then all that it holds, then all that these hold, and so on; keys are left out."""
    level = [value]
    while level:
        yield level
        inner = [item for item in level if type(item) is dict or type(item) is list]
        level = list(chain.from_iterable(item.values() if type(item) is dict else item for item in inner))


def is_within(value: Any, *, text: int, items: int, depth: int, integers: range, largest: float) -> bool:
    """Whether each text and key is ASCII of so many characters, each list and map of so many items, and so on."""
    for nested, level in enumerate(levels(value)):
        kinds = set(map(type, level))
        if not kinds <= PLAIN or (nested >= depth and kinds & {list, dict}):
            return False
        if str in kinds and not _are_short([one for one in level if type(one) is str], text):
            return False
        if int in kinds and not _are_within([one for one in level if type(one) is int], integers):
            return False
        if float in kinds and any(not math.isfinite(one) or abs(one) > largest for one in level if type(one) is float):
            return False
        lists, maps = [one for one in level if type(one) is list], [one for one in level if type(one) is dict]
        if max(map(len, (*lists, *maps)), default=0) > items:
            return False
        keys = set(chain.from_iterable(maps))
        if keys and (set(map(type, keys)) != {str} or not _are_short(keys, text)):
            return False
    return True


def _are_short(texts: Collection[str], most: int) -> bool:
    return max(map(len, texts)) <= most and "".join(texts).isascii()


def _are_within(numbers: Collection[int], integers: range) -> bool:
    return min(numbers) in integers and max(numbers) in integers


def is_real(value: Any) -> bool:
    """Whether no text in it could turn into a number that compares like none."""
    for level in levels(value):
        lines = "\n".join(one for one in level if type(one) is str)
        if lines and (not lines.isascii() or SUSPECT.search(lines)):
            return False
    return True
