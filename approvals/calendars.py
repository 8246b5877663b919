"""Business time: when so many seconds of work are over. Pure.

Hours are local; sums are made of instants, so a day with a change of the clocks counts what really passes: a span that
holds the hour that comes twice is longer by it, one that holds the hour that never comes is shorter. What is asked for
never shrinks: the result rises with the start and with the seconds, and two spans one after the other are their sum.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")
YEARS_AHEAD = 20  # as good as never
Span = tuple[int, int]  # minutes of a local day, from and until


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A week of work in a zone, and the days without. `week` is Monday to Sunday, each day's spans in order."""

    zone: ZoneInfo
    week: tuple[tuple[Span, ...], ...]
    holidays: frozenset[dt.date] = field(default_factory=frozenset)

    def on(self, day: dt.date) -> tuple[Span, ...]:
        """The spans of a day."""
        return () if day in self.holidays else self.week[day.weekday()]


def due_after(start: dt.datetime, seconds: float, hours: Hours | None) -> dt.datetime:
    """The first instant, in UTC, by which so many business seconds have passed since an aware start.

    Without hours all time counts. What would lie more than twenty years ahead is due then.
    """
    start = start.astimezone(dt.UTC)
    if hours is None or seconds <= 0:
        return start + dt.timedelta(seconds=max(0.0, seconds))
    left = dt.timedelta(seconds=seconds)
    for begin, end in _spans(start, hours):
        if end - begin >= left:
            return begin + left
        left -= end - begin
    return start + dt.timedelta(days=YEARS_AHEAD * 366)


def _spans(start: dt.datetime, hours: Hours) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """The spans of work from an instant on, without overlap, in order."""
    day = start.astimezone(hours.zone).date() - dt.timedelta(days=1)  # whose last span may reach into the next
    past = start
    for ahead in range(YEARS_AHEAD * 366):
        date = day + dt.timedelta(days=ahead)
        for opens, closes in hours.on(date):
            begin = max(past, _instant(date, opens, hours.zone, first=True))
            end = _instant(date, closes, hours.zone, first=False)
            if end > begin:
                past = end
                yield begin, end


def _instant(day: dt.date, minute: int, zone: ZoneInfo, *, first: bool) -> dt.datetime:
    """When a local clock shows this: the first time or the last; the moment of the change where it never does."""
    shown = dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=minute)
    early, late = (shown.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    if early <= late:
        return early if first else late
    return _change_between(late, early, zone)  # a gap: fold 0 counts by the offset before it and lands after it


def _change_between(low: dt.datetime, high: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """The instant between two at which the zone's offset changes, to the second."""
    before = low.astimezone(zone).utcoffset()
    while high - low > dt.timedelta(seconds=1):
        middle = low + dt.timedelta(seconds=(high - low) // dt.timedelta(seconds=2))
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high


def read_week(written: Any) -> tuple[tuple[Span, ...], ...]:
    """Hours as they are written, `{"mon": [["09:00", "17:30"]], …}`. Raises ValueError, in words for people."""
    if not isinstance(written, Mapping) or not set(written) <= set(DAYS):
        raise ValueError(f"Give spans by day: {', '.join(DAYS)}.")
    week = tuple(_read_day(day, written.get(day, [])) for day in DAYS)
    if not any(week):
        raise ValueError("There has to be a span in the week, or nothing would ever be due.")
    return week


def _read_day(day: str, written: Any) -> tuple[Span, ...]:
    if not isinstance(written, Sequence) or isinstance(written, str):
        raise ValueError(f"{day}: give a list of spans, each from and until.")
    spans = tuple(_read_span(day, one) for one in written)
    if any(after[0] < before[1] for before, after in itertools.pairwise(spans)):
        raise ValueError(f"{day}: spans come in order and do not overlap.")
    return spans


def _read_span(day: str, written: Any) -> Span:
    times = list(written) if isinstance(written, Sequence) and not isinstance(written, str) else []
    read = [CLOCK.fullmatch(one) for one in times if isinstance(one, str)]
    if len(times) != 2 or len(read) != 2 or read[0] is None or read[1] is None:
        raise ValueError(f"{day}: a span is from and until, as in 09:00 and 17:30.")
    begin, end = (int(one[1]) * 60 + int(one[2]) for one in (read[0], read[1]))
    if not begin < end <= DAY_MINUTES:
        raise ValueError(f"{day}: a span ends after it begins, by 24:00 at the latest.")
    return begin, end


def read_zone(name: str) -> ZoneInfo:
    """A time zone by its name. Raises ValueError."""
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone that is known; write it as in Europe/Berlin.")
    return ZoneInfo(name)
