"""The forms of trying and replaying: what was typed, as the verbs take it. They write nothing."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django import forms
from django.http import QueryDict
from pydantic import ValidationError

from approvals.simulation.windows import MOST, USUAL, Window
from missions.errors import InvalidInput
from missions.web.parsers import read_object
from missions.web.problems import Problem

ARGS_CHARACTERS = 200_000
SHORT = {"class": "input", "autocomplete": "off", "spellcheck": "false"}
WHEN = {"class": "input input--short", "type": "datetime-local", "step": "1"}


class SimulationForm(forms.Form):
    """What both forms share: errors that assistive technology finds."""

    def __init__(self, data: QueryDict | None = None, **options: Any) -> None:
        super().__init__(data, label_suffix="", **options)

    def mark(self) -> None:
        """Tie errors to their fields; call it once all errors are there."""
        for name in self.errors:
            if name in self.fields:
                base = self[name].auto_id
                helped = f"{base}_helptext " if self.fields[name].help_text else ""
                self.fields[name].widget.attrs |= {"aria-invalid": "true", "aria-describedby": f"{helped}{base}_error"}


class TryForm(SimulationForm):
    """An action to try a policy on."""

    tool = forms.CharField(
        label="Tool", max_length=200, widget=forms.TextInput(attrs={**SHORT, "list": "known-tools"}),
        help_text="Its arguments are checked if it is known here; an unknown one counts as a write.",
    )
    args = forms.CharField(
        label="Arguments", max_length=ARGS_CHARACTERS, initial="{}", help_text="A JSON object.",
        widget=forms.Textarea(attrs={"class": "textarea", "rows": 6, "spellcheck": "false"}),
    )
    mission = forms.CharField(
        label="Mission", required=False, max_length=36, widget=forms.TextInput(attrs=SHORT),
        help_text="The id of the mission that would do it.",
    )
    mission_type = forms.CharField(
        label="Mission type", required=False, max_length=100, widget=forms.TextInput(attrs=SHORT),
        help_text="Where no mission is named.",
    )
    agent = forms.CharField(label="Agent", required=False, max_length=200, widget=forms.TextInput(attrs=SHORT))
    data = forms.CharField(  # type: ignore[assignment]  # a field, which Django takes out of the class
        label="Data class", required=False, max_length=200, widget=forms.TextInput(attrs=SHORT),
        help_text="Empty: the tool’s own.",
    )

    def clean_args(self) -> dict[str, Any]:
        """The arguments as the API would read them."""
        try:
            return read_object(self.cleaned_data["args"].encode())
        except (Problem, UnicodeEncodeError) as error:
            raise forms.ValidationError(getattr(error, "text", "") or "This is no JSON object.") from error

    def clean_mission(self) -> uuid.UUID | None:
        """The id, if one was given."""
        text = self.cleaned_data["mission"].strip()
        try:
            return uuid.UUID(text) if text else None
        except ValueError as error:
            raise forms.ValidationError("This is no mission’s id.") from error

    def add_refusals(self, refused: InvalidInput) -> None:
        """Show what does not fit the tool beside the arguments."""
        for error in refused.errors:
            field = str(error["field"])
            self.add_error("args" if field.startswith("args") else None, f"{field}: {error['message']}")
        if not refused.errors:
            self.add_error(None, str(refused))


class ReplayForm(SimulationForm):
    """Which part of history a version is replayed on."""

    last = forms.IntegerField(
        label="The last rulings", required=False, min_value=1, max_value=MOST,
        widget=forms.TextInput(attrs={"class": "input input--short", "inputmode": "numeric", "autocomplete": "off"}),
        help_text=f"How many. All fields empty: {USUAL:,}.",
    )
    since = forms.DateTimeField(
        label="From", required=False, widget=forms.DateTimeInput(attrs=WHEN, format="%Y-%m-%dT%H:%M:%S"),
        help_text="In UTC. Instead of a number.",
    )
    until = forms.DateTimeField(
        label="Until", required=False, widget=forms.DateTimeInput(attrs=WHEN, format="%Y-%m-%dT%H:%M:%S"),
        help_text="In UTC.",
    )
    mission_type = forms.CharField(
        label="Only missions of type", required=False, max_length=100, widget=forms.TextInput(attrs=SHORT)
    )
    once = forms.CharField(initial=lambda: uuid.uuid4().hex, max_length=64, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """Whether the window makes sense."""
        cleaned: dict[str, Any] = super().clean() or {}
        try:
            self.window = Window.of({
                "from": _utc(cleaned.get("since")), "until": _utc(cleaned.get("until")), "last": cleaned.get("last"),
            })
        except ValidationError as error:
            message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            self.add_error("until" if "ends" in message else "since", f"{message[:1].upper()}{message[1:]}.")
        return cleaned


def _utc(at: dt.datetime | None) -> dt.datetime | None:
    return at.astimezone(dt.UTC) if at is not None else None
