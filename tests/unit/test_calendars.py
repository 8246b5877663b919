"""Business time: spans, zones, days on which the clocks change, holidays."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.calendars import DAYS, Hours, due_after, read_week, read_zone

UTC, HOUR = dt.UTC, 3600
# Zones whose clocks change at night, at noon's other side of the world, by half an hour, at midnight, and never.
ZONES = ("Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Africa/Cairo", "UTC")
OFFICE = {day: [["09:00", "12:30"], ["13:00", "17:00"]] for day in DAYS[:5]}
NIGHTS = {day: [["00:00", "03:30"], ["22:00", "24:00"]] for day in DAYS}
ALWAYS = {day: [["00:00", "24:00"]] for day in DAYS}


def hours(written, zone="Europe/London", *holidays):
    return Hours(zone=ZoneInfo(zone), week=read_week(written), holidays=frozenset(holidays))


def local(zone, *parts, fold=0):
    return dt.datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold)


calendars = st.builds(
    hours, st.sampled_from([OFFICE, NIGHTS, ALWAYS]), st.sampled_from(ZONES),
    st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31)),
)
# The clocks change in March, April, October and November; whole seconds, as the SLA has them.
instants = st.datetimes(dt.datetime(2026, 3, 1), dt.datetime(2026, 12, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)
seconds = st.integers(0, 20 * 24 * HOUR)


@given(start=instants, one=seconds, other=seconds, calendar=calendars)
def test_two_spans_are_their_sum(start, one, other, calendar):
    assert due_after(due_after(start, one, calendar), other, calendar) == due_after(start, one + other, calendar)


@given(start=instants, later=st.integers(0, 3 * 24 * HOUR), span=seconds, more=st.integers(1, HOUR), calendar=calendars)
def test_it_rises_with_the_start_and_with_the_seconds(start, later, span, more, calendar):
    due = due_after(start, span, calendar)
    assert due >= start + dt.timedelta(seconds=span)
    assert due_after(start + dt.timedelta(seconds=later), span, calendar) >= due
    assert due_after(start, span + more, calendar) > due


@given(start=instants, span=seconds, zone=st.sampled_from(ZONES))
def test_a_calendar_of_all_hours_is_the_wall_clock(start, span, zone):
    assert due_after(start, span, hours(ALWAYS, zone)) == due_after(start, span, None)


@given(start=instants, span=st.integers(1, 5 * 24 * HOUR), calendar=calendars)
def test_as_many_seconds_of_work_lie_between_as_were_asked_for(start, span, calendar):
    """A brute-force model: each minute that the local clock shows as work counts."""
    start = start.replace(second=0)
    span -= span % 60
    due, counted, at = due_after(start, span, calendar), 0, start
    while at < due:
        shown = at.astimezone(calendar.zone)
        minute = shown.hour * 60 + shown.minute
        counted += 60 * any(begin <= minute < end for begin, end in calendar.on(shown.date()))
        at += dt.timedelta(minutes=1)
    assert counted == span


def test_a_weekend_and_a_holiday_are_skipped():
    calendar = hours(OFFICE, "Europe/London", dt.date(2026, 5, 4))
    friday = local("Europe/London", 2026, 5, 1, 16, 0)
    assert due_after(friday, 2 * HOUR, calendar) == local("Europe/London", 2026, 5, 5, 10, 0)


def test_the_end_of_a_span_is_within_it():
    assert due_after(local("Europe/London", 2026, 5, 1, 16, 0), HOUR, hours(OFFICE)) == local(
        "Europe/London", 2026, 5, 1, 17, 0
    )


@pytest.mark.parametrize(
    ("start", "span", "due"),
    [
        # London, 29 March 2026: 01:00 becomes 02:00. From midnight to 03:30 only two and a half hours pass.
        ((2026, 3, 29, 0, 0), 2.5 * HOUR, (2026, 3, 29, 3, 30)),
        ((2026, 3, 29, 0, 0), 2.5 * HOUR + 60, (2026, 3, 29, 22, 1)),
        # 25 October 2026: 02:00 becomes 01:00. Four and a half hours pass.
        ((2026, 10, 25, 0, 0), 4.5 * HOUR, (2026, 10, 25, 3, 30)),
        ((2026, 10, 25, 0, 0), 4.5 * HOUR + 60, (2026, 10, 25, 22, 1)),
    ],
)
def test_the_hour_that_never_comes_and_the_one_that_comes_twice(start, span, due):
    zone = "Europe/London"
    assert due_after(local(zone, *start), span, hours(NIGHTS, zone)) == local(zone, *due)


def test_a_span_that_begins_in_the_gap_begins_at_the_change():
    calendar = hours({"sun": [["01:30", "04:00"]]})
    midnight = local("Europe/London", 2026, 3, 29, 0, 0)
    assert due_after(midnight, HOUR, calendar) == local("Europe/London", 2026, 3, 29, 3, 0)


def test_what_lies_beyond_all_years_is_due_in_twenty():
    start = dt.datetime(2026, 1, 1, tzinfo=UTC)
    due = due_after(start, 4_000_000_000, hours({"mon": [["09:00", "09:01"]]}))
    assert due.year in (2045, 2046)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ([], "spans by day"), ({"monday": []}, "spans by day"), ({}, "nothing would ever be due"),
        ({"mon": "09:00"}, "a list of spans"), ({"mon": [["9:00", "17:00"]]}, "from and until"),
        ({"mon": [["09:00"]]}, "from and until"), ({"mon": [[9, 17]]}, "from and until"),
        ({"mon": [["17:00", "09:00"]]}, "ends after it begins"), ({"mon": [["09:00", "24:30"]]}, "ends after"),
        ({"mon": [["09:00", "12:00"], ["11:00", "13:00"]]}, "do not overlap"),
    ],
)  # fmt: skip
def test_hours_that_can_not_be(written, told):
    with pytest.raises(ValueError, match=told):
        read_week(written)


def test_a_zone_that_is_not_known():
    with pytest.raises(ValueError, match="no time zone"):
        read_zone("../etc/passwd")
