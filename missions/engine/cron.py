"""When a cron expression comes due. Pure; the calendar, daylight saving included, is `cronsim`'s.

Times that a clock change skips come right after it, times that it repeats come once, as in Debian's cron; expressions
for every hour or minute follow the clock on the wall.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import deque
from collections.abc import Iterator

from cronsim import CronSim, CronSimError

FIELDS = 5
LOOK_BACK = dt.timedelta(hours=1)


class BadCron(ValueError):
    """This is no cron expression, or it never comes due."""


def zone(name: str) -> zoneinfo.ZoneInfo:
    """The time zone of this name. Raises ValueError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder
        raise ValueError(f"There is no time zone {name!r}; it looks like Europe/Berlin.") from None


def times(cron: str, timezone: str, after: dt.datetime) -> Iterator[dt.datetime]:
    """The times that come after a moment, in UTC. Raises BadCron, ValueError."""
    if len(cron.split()) != FIELDS:
        raise BadCron("Five fields are needed: minute, hour, day of the month, month, day of the week.")
    place = zone(timezone)
    try:
        found = CronSim(cron, after.astimezone(place))
    except CronSimError as error:
        raise BadCron(f"{error}.") from error
    return (moment.astimezone(dt.UTC) for moment in found)


def first(cron: str, timezone: str, after: dt.datetime) -> dt.datetime:
    """The first time after a moment, in UTC. Raises BadCron, ValueError."""
    found = next(times(cron, timezone, after), None)
    if found is None:
        raise BadCron("It never comes due.")
    return found


def upcoming(cron: str, timezone: str, after: dt.datetime, count: int) -> list[dt.datetime]:
    """The next few times after a moment. Raises BadCron, ValueError."""
    return [moment for moment, _ in zip(times(cron, timezone, after), range(count), strict=False)]


def due(cron: str, timezone: str, since: dt.datetime, now: dt.datetime, most: int) -> list[dt.datetime]:
    """The last `most` times from `since` (which is one of them) until now. Raises BadCron, ValueError.

    Looks back from now in windows that double, so that a year of minutes costs no more than it brings.
    """
    span = LOOK_BACK
    while True:
        begin = max(since, now - span)
        found: deque[dt.datetime] = deque([since] if begin == since else [], most)
        for moment in times(cron, timezone, begin):
            if moment > now:
                break
            found.append(moment)
        if begin == since or len(found) == most:
            return list(found)
        span *= 2


def words(cron: str) -> str:
    """The expression as a sentence. Raises BadCron."""
    try:
        return str(CronSim(cron, dt.datetime(2000, 1, 1, tzinfo=dt.UTC)).explain())
    except CronSimError as error:
        raise BadCron(f"{error}.") from error
