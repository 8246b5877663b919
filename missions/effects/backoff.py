"""How long to wait before something that certainly was not done is tried again. Pure."""

from __future__ import annotations

import datetime as dt

FIRST_SECONDS, MOST_SECONDS = 0.5, 300.0  # of our own pauses
LONGEST_SECONDS = 86_400.0  # that another side may ask for


def pause(tries: int, retry_after: float | None = None) -> dt.timedelta:
    """What the other side says, at most a day; else twice as long with each try (from 1), at most five minutes."""
    if retry_after is not None:
        return dt.timedelta(seconds=min(max(retry_after, 0.0), LONGEST_SECONDS))
    return dt.timedelta(seconds=min(FIRST_SECONDS * 2 ** min(tries - 1, 20), MOST_SECONDS))
