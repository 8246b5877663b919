"""Durations as policy files write them: `30s`, `15m`, `4h`, `1d`, `2w`, or several in a row, `1d12h`. Pure."""

from __future__ import annotations

import re
from typing import Final

SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST_SECONDS: Final = 366 * 86_400
PATTERN = re.compile(r"(?:\d{1,9}[smhdw])+", re.ASCII)


def seconds(text: str) -> int:
    """A written duration in seconds. Raises ValueError, whose message says what is wanted."""
    if not PATTERN.fullmatch(text):
        raise ValueError("a duration is written like 30s, 15m, 4h, 1d or 2w")
    total = sum(int(part[:-1]) * SECONDS[part[-1]] for part in re.findall(r"\d+[smhdw]", text))
    if total > LONGEST_SECONDS:
        raise ValueError("the longest duration is 366d")
    return total


def written(total: int) -> str:
    """The shortest way to write a number of seconds; the inverse of `seconds`."""
    parts = []
    for unit, size in reversed(SECONDS.items()):
        count, total = divmod(total, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
