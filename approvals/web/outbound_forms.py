"""The forms of notifications and webhooks: collect, keep what was typed, show errors by field. The verbs judge."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.http import QueryDict

from approvals.models import DigestEvery, EventKind, NotificationChoice, Webhook, WebhookFormat
from approvals.outbound import choices, spreading
from missions.errors import InvalidInput

CLASSES: dict[type, str] = {forms.Select: "select", forms.CheckboxInput: "checkbox"}


class ToldForm(forms.Form):
    """A form for `components/field.html`."""

    def __init__(self, data: QueryDict | None, initial: dict[str, Any]) -> None:
        super().__init__(data, initial=initial, auto_id="id_%s", label_suffix="")
        for field in self.fields.values():
            field.widget.attrs["class"] = CLASSES.get(type(field.widget), "input")
        for name in self.errors if self.is_bound else ():
            self.mark(name)

    def mark(self, name: str) -> None:
        """Tie the errors of a field to it, for assistive technology."""
        if name in self.fields:
            base = self[name].auto_id
            help_id = f"{base}_helptext " if self.fields[name].help_text else ""
            self.fields[name].widget.attrs |= {"aria-invalid": "true", "aria-describedby": f"{help_id}{base}_error"}

    def refuse(self, refused: InvalidInput) -> None:
        """Show what the verb refused beside its fields."""
        for error in refused.errors:
            self.add_error(error["field"] if error["field"] in self.fields else None, error["message"])
            self.mark(error["field"])


def _time(label: str, help_text: str = "", *, required: bool = False) -> forms.TimeField:
    widget = forms.TimeInput(format="%H:%M", attrs={"type": "time"})
    return forms.TimeField(label=label, help_text=help_text, required=required, widget=widget)


class TimesForm(ToldForm):
    """When a person is told."""

    time_zone = forms.ChoiceField(
        label="Time zone", choices=[(name, name) for name in sorted(zoneinfo.available_timezones())]
    )
    digest_every = forms.ChoiceField(label="The digest goes out", choices=DigestEvery.choices)
    digest_at = _time("At", "Of the daily digest, in your time zone.", required=True)
    quiet_from = _time("Quiet from", "Nothing is sent then; it comes together afterwards.")
    quiet_until = _time("Quiet until")


def matrix(choice: NotificationChoice, typed: QueryDict | None = None) -> list[dict[str, Any]]:
    """The table of events and ways: a row an event, with what is chosen in it."""
    rows = []
    for kind, label in EventKind.choices:
        sent = typed.get(f"event-{kind}", "") if typed is not None else ""
        chosen = sent or choices.wanted(choice, kind)
        cells = [{"value": when.value, "label": when.label, "chosen": when == chosen} for when in choices.When]
        rows.append({"name": f"event-{kind}", "label": label, "cells": cells})
    return rows


def chosen(typed: QueryDict) -> dict[str, str]:
    """What was chosen for each event that was sent along."""
    return {kind: str(typed[f"event-{kind}"]) for kind in EventKind.values if f"event-{kind}" in typed}


class WebhookForm(ToldForm):
    """One webhook."""

    name = forms.CharField(label="Name", help_text="Small letters, digits, - and _.", max_length=100)
    url = forms.CharField(
        label="URL", max_length=2000, help_text="https, and public unless the host is listed in WEBHOOK_ALLOWED_HOSTS.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    format = forms.ChoiceField(label="Format", choices=WebhookFormat.choices)
    events = forms.MultipleChoiceField(
        label="Events", choices=[(spreading.EVERY, "All events"), *((kind, kind) for kind in EventKind.values)],
        widget=forms.CheckboxSelectMultiple,
    )
    active = forms.BooleanField(label="Active", required=False)

    def __init__(self, data: QueryDict | None = None, webhook: Webhook | None = None) -> None:
        self.webhook = webhook
        fields = ("name", "url", "format", "events", "active")
        super().__init__(data, {name: getattr(webhook, name) for name in fields} if webhook else {
            "active": True, "events": [spreading.EVERY], "format": WebhookFormat.STANDARD,
        })  # fmt: skip
        self.fields["events"].widget.attrs["class"] = "checkbox"
