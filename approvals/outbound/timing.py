"""When something is sent: the next digest, the end of quiet hours, the next try. Pure.

Times of day are a person's own; daylight saving is theirs too: a time that the clock skips is taken as if it had not.
"""

from __future__ import annotations

import datetime as dt
import random
import zoneinfo

MOST_TRIES = 10
FIRST_SECONDS, FACTOR, LONGEST_SECONDS = 10.0, 3.0, 6 * 3600.0


def zone_of(name: str) -> dt.tzinfo:
    """The time zone of this name; UTC for one that this machine does not know."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return dt.UTC


def next_hour(now: dt.datetime) -> dt.datetime:
    """The next full hour."""
    return now.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)


def next_time(now: dt.datetime, at: dt.time, zone: dt.tzinfo) -> dt.datetime:
    """The next time that the clock in this zone shows `at`, in UTC; strictly after `now`."""
    today = now.astimezone(zone).date()
    moments = (dt.datetime.combine(today + dt.timedelta(days=days), at, zone).astimezone(dt.UTC) for days in range(3))
    return next(moment for moment in moments if moment > now)


def quiet_until(now: dt.datetime, begin: dt.time | None, end: dt.time | None, zone: dt.tzinfo) -> dt.datetime | None:
    """When the quiet hours that run now are over; None where none run. They may go over midnight."""
    if begin is None or end is None or begin == end:
        return None
    clock = now.astimezone(zone).time().replace(tzinfo=None)
    inside = begin <= clock < end if begin < end else clock >= begin or clock < end
    return next_time(now, end, zone) if inside else None


def backoff(tries: int, jitter: float | None = None) -> dt.timedelta:
    """How long to wait after so many failed tries, from 1: 10 s, 30 s, 90 s … up to 6 h, each ± a half.

    `jitter` from 0 to 1 is drawn where it is not given, so that receivers that come back are not met by all at once.
    """
    seconds = min(FIRST_SECONDS * FACTOR ** min(tries - 1, 50), LONGEST_SECONDS)
    return dt.timedelta(seconds=seconds * (0.5 + (random.random() if jitter is None else jitter)))
