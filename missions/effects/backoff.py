"""How long to wait before something that certainly was not done is tried again. Pure."""

from __future__ import annotations

import datetime as dt

FIRST_SECONDS, MOST_SECONDS = 0.5, 300.0


def pause(tries: int, retry_after: float | None = None) -> dt.timedelta:
    """What the other side says, else twice as long with each try (from 1); never more than `MOST_SECONDS`."""
    seconds = retry_after if retry_after is not None else FIRST_SECONDS * 2 ** min(tries - 1, 20)
    return dt.timedelta(seconds=min(max(seconds, 0.0), MOST_SECONDS))
