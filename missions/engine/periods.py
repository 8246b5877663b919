"""Calendar arithmetic of budgets: the period that a moment lies in. Pure.

By the wall clock of a time zone: a day in which clocks are changed has 23 or 25 hours, and an hour that occurs twice
is two hours.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo, available_timezones

from missions.models import Period

Span = tuple[dt.datetime, dt.datetime]
HOUR, DAY, WEEK = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(days=7)


def is_zone(name: str) -> bool:
    """Whether this is a time zone that is known here."""
    return name in available_timezones()


def bounds(period: str, zone: str, moment: dt.datetime) -> Span:
    """Beginning and end, in UTC, of the calendar period around an aware moment; the end is the next one's beginning."""
    if period == Period.HOUR:
        return _hour(zone, moment)
    local = moment.astimezone(ZoneInfo(zone))
    first = local.date()
    if period == Period.WEEK:
        first -= dt.timedelta(days=first.weekday())
    if period == Period.MONTH:
        first = first.replace(day=1)
        following = (first + dt.timedelta(days=31)).replace(day=1)
    else:
        following = first + (WEEK if period == Period.WEEK else DAY)
    return _midnight(first, zone), _midnight(following, zone)


def _midnight(day: dt.date, zone: str) -> dt.datetime:
    """When the day begins; where clocks skip midnight, when they have."""
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).astimezone(dt.UTC)


def _hour(zone: str, moment: dt.datetime) -> Span:
    """Reckoned in UTC, since no hour is longer than an hour; zones may be off by minutes."""
    local = moment.astimezone(ZoneInfo(zone))
    passed = dt.timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    begun = moment.astimezone(dt.UTC) - passed
    return begun, begun + HOUR
