"""When cron expressions come due: daylight saving, catching up, and what is no expression."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from missions.engine import cron

BERLIN = "Europe/Berlin"


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def told(moments: list[dt.datetime]) -> list[str]:
    return [f"{moment:%m-%d %H:%M}" for moment in moments]


def test_time_that_the_spring_skips_comes_right_after_it() -> None:
    found = cron.upcoming("30 2 * * *", BERLIN, utc("2026-03-28T12:00"), 2)
    assert told(found) == ["03-29 01:00", "03-30 00:30"]  # 03:00 and 02:30 on the wall


def test_time_that_the_autumn_repeats_comes_once() -> None:
    found = cron.upcoming("30 2 * * *", BERLIN, utc("2026-10-24T12:00"), 2)
    assert told(found) == ["10-25 00:30", "10-26 01:30"]


def test_every_hour_comes_every_hour_also_when_the_clock_goes_back() -> None:
    found = cron.upcoming("30 * * * *", BERLIN, utc("2026-10-24T23:00"), 4)
    assert told(found) == ["10-24 23:30", "10-25 00:30", "10-25 01:30", "10-25 02:30"]


def test_all_that_came_since_is_found_the_first_included() -> None:
    since, now = utc("2026-05-01T08:00"), utc("2026-05-01T11:59")
    assert told(cron.due("0 * * * *", "UTC", since, now, 100)) == [
        "05-01 08:00", "05-01 09:00", "05-01 10:00", "05-01 11:00",
    ]
    assert told(cron.due("0 * * * *", "UTC", since, now, 2)) == ["05-01 10:00", "05-01 11:00"]
    assert told(cron.due("0 * * * *", "UTC", since, since, 100)) == ["05-01 08:00"]


def test_a_lost_decade_of_minutes_costs_next_to_nothing() -> None:
    began = time.process_time()
    found = cron.due("* * * * *", "UTC", utc("2016-01-01T00:00"), utc("2026-01-01T00:00"), 100)
    assert len(found) == 100 and found[-1] == utc("2026-01-01T00:00")
    assert time.process_time() - began < 1.0  # counting all five million of them takes twenty seconds


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 31 2 *", "@daily", "a b c d e"]
)
def test_what_is_no_expression_or_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(cron.BadCron):
        cron.first(expression, "UTC", utc("2026-01-01T00:00"))


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "Europe/Berlin\x00"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        cron.zone(name)
