"""Keeping business calendars: making them, changing them, letting them go. Judges what is written; `calendars` counts.

A tier counts by the hours that its calendar has when it opens; a change moves no time that was set already.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction

from approvals.calendars import read_week, read_zone
from approvals.models import Calendar, Holiday
from approvals.scheduling import ALWAYS
from missions.errors import StandfastError

KEEPERS = ("policy-admins", "operators")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
MOST_HOLIDAYS = 500


class CalendarRefused(StandfastError):
    """The calendar was not kept; see the errors by field."""

    code = "invalid_calendar"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(" ".join(error["message"] for error in errors))
        self.errors = errors


class CalendarExists(StandfastError):
    """There is a calendar of this name."""

    code = "calendar_exists"


class UnknownCalendar(StandfastError):
    """There is no calendar of this name."""

    code = "unknown_calendar"


def may_keep(user: User | AnonymousUser) -> bool:
    """Whether a person may make and change calendars: policy admins, operators, administrators."""
    return user.is_active and (user.is_superuser or user.groups.filter(name__in=KEEPERS).exists())


def get(name: str) -> Calendar:
    """A calendar with its holidays. Raises UnknownCalendar."""
    found = Calendar.objects.prefetch_related("holidays").filter(name=name).first()
    if found is None:
        raise UnknownCalendar(f"There is no calendar {name}.")
    return found


def make(name: str, *, time_zone: str, hours: Any, holidays: Mapping[dt.date, str]) -> Calendar:
    """A new calendar. Own transaction. Raises CalendarRefused, CalendarExists."""
    errors = [*_name_errors(name), *_errors(time_zone, hours, holidays)]
    if errors:
        raise CalendarRefused(errors)
    with transaction.atomic():
        made, created = Calendar.objects.get_or_create(name=name, defaults={"time_zone": time_zone, "hours": hours})
        if not created:
            raise CalendarExists(f"There is a calendar {name} already.")
        _set_holidays(made, holidays)
    return get(name)


def change(name: str, *, time_zone: str, hours: Any, holidays: Mapping[dt.date, str]) -> Calendar:
    """Put other hours and holidays in the place of those of a calendar. Own transaction.

    Raises CalendarRefused, UnknownCalendar.
    """
    if errors := list(_errors(time_zone, hours, holidays)):
        raise CalendarRefused(errors)
    with transaction.atomic():
        found = Calendar.objects.select_for_update().filter(name=name).first()
        if found is None:
            raise UnknownCalendar(f"There is no calendar {name}.")
        found.time_zone, found.hours = time_zone, hours
        found.save()
        _set_holidays(found, holidays)
    return get(name)


def remove(name: str) -> None:
    """Let a calendar go. Tiers that still name it count all time. Own transaction. Raises UnknownCalendar."""
    with transaction.atomic():
        get(name).delete()


def _set_holidays(calendar: Calendar, holidays: Mapping[dt.date, str]) -> None:
    calendar.holidays.all().delete()
    Holiday.objects.bulk_create(Holiday(calendar=calendar, day=day, name=name) for day, name in holidays.items())


def _name_errors(name: str) -> Iterator[dict[str, str]]:
    if not NAME.fullmatch(name) or name == ALWAYS:
        yield {"field": "name", "message": f"Small letters, digits and dashes; {ALWAYS} is taken."}


def _errors(time_zone: str, hours: Any, holidays: Mapping[dt.date, str]) -> Iterator[dict[str, str]]:
    for field, read, written in (("time_zone", read_zone, time_zone), ("hours", read_week, hours)):
        try:
            read(written)
        except ValueError as error:
            yield {"field": field, "message": str(error)}
    if len(holidays) > MOST_HOLIDAYS:
        yield {"field": "holidays", "message": f"At most {MOST_HOLIDAYS} days."}
    if any(len(name) > 100 or "\x00" in name for name in holidays.values()):
        yield {"field": "holidays", "message": "The name of a day has at most 100 characters, none of them NUL."}
