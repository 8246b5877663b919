"""The forms that steer missions. They check form alone; what a control means in a state is the engine's to say."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.http import QueryDict

from missions.control.bulk import VERBS
from missions.engine.controls import REASON_LENGTH
from missions.web.control_shapes import GUIDANCE_LENGTH
from observability.console.steering import CONTROLS

LARGEST = 2**31 - 1


class SteerForm(forms.Form):
    """A form in the console's looks; errors are tied to their fields for assistive technology."""

    def __init__(self, data: QueryDict | None = None, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial, auto_id="id_%s", label_suffix="")
        for field in self.fields.values():
            _dress(field)
        for name in self.errors if self.is_bound else ():
            if name in self.fields:
                base, field = self[name].auto_id, self.fields[name]
                described = f"{base}_helptext {base}_error" if field.help_text else f"{base}_error"
                field.widget.attrs |= {"aria-invalid": "true", "aria-describedby": described}


def _dress(field: forms.Field) -> None:
    match field.widget:
        case forms.HiddenInput():
            return
        case forms.CheckboxInput() | forms.CheckboxSelectMultiple():
            field.widget.attrs["class"] = "checkbox"
        case forms.Select():
            field.widget.attrs["class"] = "select"
        case forms.Textarea():
            field.widget.attrs["class"] = "textarea"
        case _:
            short = isinstance(field, forms.IntegerField)
            field.widget.attrs |= {"class": "input input--short" if short else "input", "autocomplete": "off"}


def reason(*, required: bool = False) -> forms.CharField:
    """Why; it stays in the record."""
    return forms.CharField(
        label="Reason", required=required, max_length=REASON_LENGTH, help_text="It stays in the record.",
        widget=forms.Textarea(attrs={"rows": 2}), error_messages={"required": "Say why."},
    )


class ReasonForm(SteerForm):
    """A control without arguments of its own."""

    reason = reason()


class CancelForm(ReasonForm):
    """Cancelling."""

    compensate = forms.BooleanField(
        label="Undo its effects first", required=False,
        help_text="The newest first, each by the tool that undoes it. What can not be undone stands.",
    )


class RollBackForm(SteerForm):
    """Going back to an entry, as its preview told it."""

    to = forms.IntegerField(min_value=1, max_value=LARGEST, widget=forms.HiddenInput)
    preview_digest = forms.CharField(max_length=64, widget=forms.HiddenInput)
    reason = reason(required=True)
    guidance = forms.CharField(
        label="Guidance", required=False, max_length=GUIDANCE_LENGTH, widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What the mission is told on its new timeline, for example what to do differently.",
    )


class ForkForm(SteerForm):
    """Where to fork, and whether the new mission may change the world."""

    at = forms.IntegerField(
        label="At entry", min_value=1, max_value=LARGEST, widget=forms.TextInput(attrs={"inputmode": "numeric"}),
        help_text="Its history up to here is copied, back to where nothing was under way.",
    )
    title = forms.CharField(label="Title", required=False, max_length=200, help_text="How it is listed.")
    effects = forms.ChoiceField(
        label="Effects", choices=[("off", "Off: it may read, and never change the world"),
                                  ("on", "On: what it does is done, as policy allows")],
        initial="off",
    )  # fmt: skip


class BulkForm(SteerForm):
    """One control for many missions: those that were ticked, or all that fit the filter."""

    verb = forms.ChoiceField(label="Do", choices=[(verb, CONTROLS[verb].label) for verb in VERBS])
    scope = forms.ChoiceField(choices=[("selected", "selected"), ("all", "all")], widget=forms.HiddenInput)
    reason = reason()
    compensate = forms.BooleanField(label="Undo their effects first", required=False)
    confirmed = forms.BooleanField(required=False, widget=forms.HiddenInput)
    once = forms.CharField(max_length=64, required=False, initial=lambda: uuid.uuid4().hex, widget=forms.HiddenInput)
