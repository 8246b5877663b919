"""The form that starts a mission, made from the type's JSON Schema."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from missions.engine.starting import PRIORITIES, TITLE_LENGTH
from missions.web.schema_form import Check, Picks, Schema, SchemaForm

TITLE, PRIORITY, DEADLINE, ONCE = "form-title", "form-priority", "form-deadline", "form-once"  # no input's properties
OWN = {"title": TITLE, "priority": PRIORITY, "deadline_at": DEADLINE}  # as the verb names them in a refusal


class StartForm(SchemaForm):
    """One field a property of the input; `once` makes a double submit start one mission."""

    own = OWN

    def __init__(
        self, schema: Schema, check: Check, data: QueryDict | None = None, picks: Mapping[str, Picks] | None = None
    ) -> None:
        super().__init__(schema, check, data, more=_own_fields(), picks=picks)
        self.earlier = ""  # the mission that this form had already started with other values

    @property
    def title(self) -> str:
        """The title that was typed, or nothing."""
        return str(self.cleaned_data.get(TITLE) or "")

    @property
    def priority(self) -> int:
        """Higher runs first."""
        return self.cleaned_data.get(PRIORITY) or 0

    @property
    def deadline_at(self) -> dt.datetime | None:
        """The time that was given, if any."""
        return self.cleaned_data.get(DEADLINE)

    @property
    def once(self) -> str:
        """The token of this form; the same one again means the same mission."""
        return str(self.cleaned_data[ONCE])

    def mission_input(self) -> dict[str, Any]:
        """The input object."""
        return self.value()

    def renew(self) -> None:
        """Take a new once-token: what is sent next starts another mission."""
        self.data = {**{name: self.data[name] for name in self.data}, self.add_prefix(ONCE): uuid.uuid4().hex}


def _own_fields() -> dict[str, forms.Field]:
    """What every start takes beside its input."""
    low, high = PRIORITIES
    when = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return {
        TITLE: forms.CharField(label="Title", required=False, max_length=TITLE_LENGTH, help_text="How it is listed."),
        PRIORITY: forms.IntegerField(
            label="Priority", required=False, min_value=low, max_value=high,
            help_text="From -100 to 100; higher runs first.", widget=forms.TextInput(attrs={"inputmode": "numeric"}),
        ),
        DEADLINE: forms.DateTimeField(
            label="Deadline", required=False, widget=when, help_text="In UTC. If it still runs then, it is stopped."
        ),
        ONCE: forms.CharField(initial=lambda: uuid.uuid4().hex, max_length=64, widget=forms.HiddenInput),
    }  # fmt: skip
