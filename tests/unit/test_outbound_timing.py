"""When something is sent: digests, quiet hours, the next try; across daylight saving."""

from __future__ import annotations

import datetime as dt
import itertools
import zoneinfo

from hypothesis import given
from hypothesis import strategies as st

from approvals.outbound import timing

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 3, 2, 9, 30, tzinfo=dt.UTC)
moments = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2035, 1, 1), timezones=st.just(dt.UTC))
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]
zones = st.sampled_from(ZONES).map(zoneinfo.ZoneInfo)


def test_a_daily_digest_comes_at_the_persons_own_hour() -> None:
    assert timing.next_time(NOW, dt.time(8), BERLIN) == dt.datetime(2026, 3, 3, 7, tzinfo=dt.UTC)
    assert timing.next_time(NOW, dt.time(11), BERLIN) == dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)
    assert timing.next_time(NOW, dt.time(10, 30), BERLIN) == dt.datetime(2026, 3, 3, 9, 30, tzinfo=dt.UTC)  # never now


def test_daylight_saving_moves_the_digest_with_the_clock_on_the_wall() -> None:
    before, after = (dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC) for day in (27, 29))
    assert timing.next_time(before, dt.time(8), BERLIN).hour == 7
    assert timing.next_time(after, dt.time(8), BERLIN).hour == 6
    skipped = dt.datetime(2026, 3, 29, 0, 30, tzinfo=dt.UTC)  # 02:30 is not there that night
    assert timing.next_time(skipped, dt.time(2, 30), BERLIN) == dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)


def test_quiet_hours_go_over_midnight_and_end_where_they_say() -> None:
    night = (dt.time(22), dt.time(7))
    late = dt.datetime(2026, 3, 2, 22, 30, tzinfo=dt.UTC)
    assert timing.quiet_until(late, *night, BERLIN) == dt.datetime(2026, 3, 3, 6, tzinfo=dt.UTC)
    assert timing.quiet_until(dt.datetime(2026, 3, 3, 5, 59, tzinfo=dt.UTC), *night, BERLIN) is not None
    assert timing.quiet_until(dt.datetime(2026, 3, 3, 6, tzinfo=dt.UTC), *night, BERLIN) is None
    assert timing.quiet_until(NOW, *night, BERLIN) is None
    assert timing.quiet_until(NOW, dt.time(9), dt.time(9), BERLIN) is None
    assert timing.quiet_until(NOW, None, dt.time(9), BERLIN) is None


@given(moments, st.times(), zones)
def test_the_next_time_comes_within_two_days_and_shows_the_wanted_hour(
    now: dt.datetime, at: dt.time, zone: zoneinfo.ZoneInfo
) -> None:
    found = timing.next_time(now, at, zone)
    assert now < found <= now + dt.timedelta(days=2)


def test_tries_wait_longer_each_time_up_to_a_cap_and_never_all_at_once() -> None:
    waits = [timing.backoff(tries, jitter=0.5) for tries in range(1, timing.MOST_TRIES + 1)]
    assert waits[0] == dt.timedelta(seconds=10) and waits[-1] == dt.timedelta(hours=6)
    assert all(earlier <= later for earlier, later in itertools.pairwise(waits))
    assert timing.backoff(1, jitter=0) == dt.timedelta(seconds=5)
    assert timing.backoff(10**6, jitter=1) == dt.timedelta(hours=9)
    assert len({timing.backoff(3) for _ in range(20)}) > 10


def test_an_unknown_time_zone_is_utc() -> None:
    assert timing.zone_of("Mars/Olympus") is dt.UTC and timing.zone_of("../etc/passwd") is dt.UTC
