"""The form of a schedule. The verb's own check has the last word; the form collects, keeps what was typed, and shows
errors by field."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.http import QueryDict

from missions.engine.registry import all_types
from missions.engine.starting import PRIORITIES, TITLE_LENGTH
from missions.errors import InvalidInput
from missions.models import Missed, Schedule
from missions.web.dressing import DressedForm
from missions.web.parsers import read_object
from missions.web.problems import Problem

LOW, HIGH = PRIORITIES


class ScheduleForm(DressedForm):
    """A new schedule, or the one given; its name stays."""

    name = forms.CharField(label="Name", max_length=100, help_text="Small letters, digits and dashes.")
    type = forms.ChoiceField(label="Mission type")
    input = forms.CharField(
        label="Input", initial="{}", help_text="A JSON object that fits the type's input.",
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )  # fmt: skip
    title = forms.CharField(
        label="Title", required=False, max_length=TITLE_LENGTH, help_text="How its missions are listed."
    )
    cron = forms.CharField(
        label="When", max_length=100,
        help_text="Minute, hour, day of the month, month, day of the week: 0 7 * * 1-5 is 7:00 from Monday to Friday.",
    )  # fmt: skip
    timezone = forms.CharField(label="Time zone", max_length=64, initial="UTC", help_text="For example Europe/Berlin.")
    missed = forms.ChoiceField(
        label="Missed times", choices=Missed.choices, initial=Missed.LATEST,
        help_text="What to do about times that came while nothing could be started.",
    )  # fmt: skip
    priority = forms.IntegerField(
        label="Priority", required=False, min_value=LOW, max_value=HIGH,
        help_text="From -100 to 100; higher runs first.", widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )  # fmt: skip
    enabled = forms.BooleanField(label="Enabled", required=False, initial=True)

    def __init__(self, data: QueryDict | None = None, schedule: Schedule | None = None) -> None:
        self.schedule = schedule
        super().__init__(data, auto_id="id_%s", label_suffix="", initial=_initial(schedule) if schedule else None)
        if schedule is not None:
            del self.fields["name"]
        kinds = {kind.name: kind.title for kind in all_types()}
        if schedule is not None:
            kinds.setdefault(schedule.type, schedule.type)
        choice = self.fields["type"]
        if isinstance(choice, forms.ChoiceField):
            choice.choices = list(kinds.items())
        self.dress()

    @property
    def name_given(self) -> str:
        """The schedule's name: the one that it has, or the one that was typed."""
        return self.schedule.name if self.schedule else str(self.cleaned_data.get("name", ""))

    def clean_input(self) -> dict[str, Any]:
        """The object, read as strictly as the API reads it."""
        try:
            return read_object(self.cleaned_data["input"].encode())
        except Problem as error:
            raise forms.ValidationError(error.text) from error

    def fields_of(self) -> dict[str, Any]:
        """What `schedules.create` and `schedules.change` take, but for `run_as`."""
        cleaned = {**self.cleaned_data, "priority": self.cleaned_data.get("priority") or 0}
        return {**cleaned, "name": self.name_given}

    def add_refusals(self, refused: InvalidInput) -> None:
        """Show the verb's errors beside their fields; those of parts of the input name the part."""
        for error in refused.errors:
            field, _, part = str(error["field"]).partition(".")
            self.refuse(field, f"{part}: {error['message']}" if part else str(error["message"]))

    def refuse(self, field: str, message: str) -> None:
        """Add an error to a field, or above the form where there is no such field."""
        self.add_error(field if field in self.fields else None, message)
        self.mark(field)


def _initial(schedule: Schedule) -> dict[str, Any]:
    names = ("type", "title", "cron", "timezone", "missed", "priority", "enabled")
    text = json.dumps(schedule.input, ensure_ascii=False, indent=2)
    return {**{name: getattr(schedule, name) for name in names}, "input": text}
