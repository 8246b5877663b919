"""Calendar periods of budgets, clock changes included; and amounts in the arguments of a call."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from missions.engine.periods import bounds
from missions.models import Period
from missions.tools.pricing import price_of

CALENDAR = [Period.HOUR, Period.DAY, Period.WEEK, Period.MONTH]
ZONES = ["UTC", "Europe/London", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago"]


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


@pytest.mark.parametrize(
    ("period", "zone", "moment", "begins", "ends"),
    [
        ("day", "UTC", "2026-03-29T12:00+00:00", "2026-03-29T00:00+00:00", "2026-03-30T00:00+00:00"),
        ("day", "Europe/London", "2026-03-29T12:00+00:00", "2026-03-29T00:00+00:00", "2026-03-29T23:00+00:00"),  # 23 h
        ("day", "Europe/London", "2026-10-25T12:00+00:00", "2026-10-24T23:00+00:00", "2026-10-26T00:00+00:00"),  # 25 h
        ("week", "UTC", "2026-03-04T12:00+00:00", "2026-03-02T00:00+00:00", "2026-03-09T00:00+00:00"),
        ("month", "UTC", "2026-12-31T23:59:59+00:00", "2026-12-01T00:00+00:00", "2027-01-01T00:00+00:00"),
        ("month", "Asia/Tokyo", "2026-01-31T20:00+00:00", "2026-01-31T15:00+00:00", "2026-02-28T15:00+00:00"),
        ("hour", "Asia/Kathmandu", "2026-01-01T00:20+00:00", "2026-01-01T00:15+00:00", "2026-01-01T01:15+00:00"),
        ("hour", "Europe/London", "2026-10-25T00:30+00:00", "2026-10-25T00:00+00:00", "2026-10-25T01:00+00:00"),
    ],
)
def test_a_period_begins_and_ends_by_the_calendar_of_its_zone(
    period: str, zone: str, moment: str, begins: str, ends: str
) -> None:
    assert bounds(period, zone, at(moment)) == (at(begins), at(ends))


@given(
    st.sampled_from(CALENDAR), st.sampled_from(ZONES),
    st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2035, 1, 1), timezones=st.just(dt.UTC)),
)  # fmt: skip
def test_each_moment_lies_in_one_period_and_the_next_begins_where_it_ends(
    period: str, zone: str, moment: dt.datetime
) -> None:
    begins, ends = bounds(period, zone, moment)
    assert begins <= moment < ends
    assert bounds(period, zone, begins) == (begins, ends)
    assert bounds(period, zone, ends)[0] == ends


@pytest.mark.parametrize(
    ("args", "named", "counted", "currency"),
    [
        ({"amount": "12.50", "currency": "GBP"}, "", "12.5", "GBP"), ({"total": 3}, "", "3", ""),
        ({"amount": "-4.00001"}, "", "4.0001", ""), ({"fee": 0.1, "amount": 9}, "fee", "0.1", ""),
    ],
)  # fmt: skip
def test_an_amount_is_counted_upwards_and_whichever_way_it_goes(
    args: dict[str, Any], named: str, counted: str, currency: str
) -> None:
    price = price_of(args, named)
    assert price is not None and (price.counted, price.currency) == (Decimal(counted), currency)


@pytest.mark.parametrize("args", [{}, {"amount": True}, {"amount": "NaN"}, {"amount": "Infinity"}, {"amount": "ten"}])
def test_what_is_no_amount_is_none(args: dict[str, Any]) -> None:
    assert price_of(args) is None
