"""When a tier is due: the calendars of the database, and the times that an opening sets.

Due and reminders count business time where the tier names a calendar; expiry is always by the wall clock.
"""

from __future__ import annotations

import datetime as dt

from approvals.calendars import Hours, due_after, read_week, read_zone
from approvals.models import Calendar, Tier
from missions.engine.alarms import set_alarm

ALWAYS = "always"  # the calendar of all hours, which is not a row; also what an unknown name means


def hours_of(name: str) -> Hours | None:
    """The hours of a calendar; None: all time counts, also for a calendar that is not there any more."""
    named = Calendar.objects.filter(name=name).prefetch_related("holidays")
    calendar = named.first() if name not in ("", ALWAYS) else None
    if calendar is None:
        return None
    free = frozenset(one.day for one in calendar.holidays.all())
    return Hours(zone=read_zone(calendar.time_zone), week=read_week(calendar.hours), holidays=free)


def start_clock(tier: Tier, now: dt.datetime) -> None:
    """Set the times of a tier that opens now, and the alarms of two of them. Not saved."""
    tier.opened_at, tier.reminded_at, tier.overdue_told_at, tier.expired_at = now, None, None, None
    tier.remind_at = tier.due_at = tier.expires_at = None
    if tier.sla_seconds is not None:
        hours = hours_of(tier.calendar)
        tier.remind_at = due_after(now, tier.sla_seconds / 2, hours)
        tier.due_at = due_after(now, tier.sla_seconds, hours)
        set_alarm(f"decision.due:{tier.pk}", tier.due_at)
    if tier.expires_seconds is not None:
        tier.expires_at = now + dt.timedelta(seconds=tier.expires_seconds)
        set_alarm(f"decision.expire:{tier.pk}", tier.expires_at)
