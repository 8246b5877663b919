"""The form of a business calendar. Hours are one line a day, holidays one line each; the verb has the last word."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.http import QueryDict

from approvals.calendars import DAYS
from approvals.hours import CalendarRefused
from approvals.models import Calendar
from missions.web.dressing import DressedForm

LABELS = dict(zip(DAYS, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True))


class CalendarForm(DressedForm):
    """A new calendar, or the one given; its name stays."""

    name = forms.CharField(label="Name", max_length=100, help_text="Small letters, digits and dashes.")
    time_zone = forms.CharField(label="Time zone", max_length=64, help_text="For example Europe/Berlin.", initial="UTC")

    def __init__(self, data: QueryDict | None = None, calendar: Calendar | None = None) -> None:
        self.calendar = calendar
        super().__init__(data, auto_id="id_%s", label_suffix="", initial=_initial(calendar) if calendar else None)
        if calendar is not None:
            del self.fields["name"]
        for day in DAYS:
            office = "09:00-17:30" if day in DAYS[:5] and calendar is None else ""
            self.fields[day] = forms.CharField(label=LABELS[day], max_length=200, required=False, initial=office)
        self.fields["holidays"] = forms.CharField(
            label="Holidays", required=False, widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
            help_text="One a line: 2026-12-25 Christmas Day",
        )  # fmt: skip
        self.dress()

    def clean_holidays(self) -> dict[dt.date, str]:
        """The days with their names."""
        found: dict[dt.date, str] = {}
        for line in filter(None, map(str.strip, self.cleaned_data["holidays"].splitlines())):
            written, _, name = line.partition(" ")
            try:
                found[dt.date.fromisoformat(written)] = name.strip()
            except ValueError as error:
                raise forms.ValidationError(f"“{written[:40]}” is no day; write it as in 2026-12-25.") from error
        return found

    def terms(self) -> dict[str, Any]:
        """What `hours.make` and `hours.change` take, but for the name."""
        cleaned = self.cleaned_data
        hours = {day: _spans(cleaned[day]) for day in DAYS if cleaned[day].strip()}
        return {"time_zone": cleaned["time_zone"], "hours": hours, "holidays": cleaned["holidays"]}

    def add_refusals(self, refused: CalendarRefused) -> None:
        """Show the verb's errors beside their fields; those of the hours beside the day that they name."""
        for error in refused.errors:
            day, _, message = error["message"].partition(": ")
            field, told = (day, message) if day in DAYS else (error["field"], error["message"])
            self.add_error(field if field in self.fields else None, told)
            self.mark(field)


def _spans(line: str) -> list[list[str]]:
    """`09:00-12:30, 13:00-17:00` as the calendar keeps it."""
    return [[part.strip() for part in span.split("-")] for span in line.split(",")]


def _initial(calendar: Calendar) -> dict[str, Any]:
    days = {day: ", ".join("-".join(span) for span in calendar.hours.get(day, [])) for day in DAYS}
    holidays = "\n".join(f"{one.day} {one.name}".strip() for one in calendar.holidays.all())
    return {"time_zone": calendar.time_zone, "holidays": holidays, **days}
