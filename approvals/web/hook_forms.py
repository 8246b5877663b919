"""The form of a hook: collects, keeps what was typed, shows errors by field. The verbs judge."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django import forms
from django.http import QueryDict

from approvals.inbound import hooks
from approvals.inbound.mapping import Content
from approvals.models import By, Hook, Scheme, Verb
from approvals.web.outbound_forms import ToldForm

SAMPLE = json.dumps({"order": {"id": "ORD-1001", "total": "240.00"}}, indent=2)
PLAIN = {"autocomplete": "off", "spellcheck": "false"}


def _formula(label: str, help_text: str, rows: int = 2) -> forms.CharField:
    widget = forms.Textarea(attrs={**PLAIN, "rows": rows})
    return forms.CharField(label=label, help_text=help_text, required=False, strip=True, widget=widget)


def _line(label: str, help_text: str, *, required: bool = False, most: int = 200) -> forms.CharField:
    widget = forms.TextInput(attrs=PLAIN)
    return forms.CharField(label=label, help_text=help_text, required=required, max_length=most, widget=widget)


class HookForm(ToldForm):
    """One hook, and a payload to try it on."""

    active = forms.BooleanField(label="Active", required=False)
    scheme = forms.ChoiceField(label="Signed by", choices=Scheme.choices)
    header = _line("Header of the signature", "Where another than the scheme's own bears it.", most=60)
    tolerance_seconds = forms.IntegerField(label="Tolerance", help_text="Seconds between the signed time and now.")
    secret = _line("Secret elsewhere", "env:NAME, file:/path or db:NAME, where the sender made the secret.", most=500)
    when = _formula("Only when", "A condition, as in payload.action == \"paid\". Empty: always.")
    verb = forms.ChoiceField(label="An event", choices=Verb.choices)
    mission_by = forms.ChoiceField(label="The mission is named by", choices=By.choices, help_text="Of a signal.")
    mission = _formula("Which mission", "Of a signal, as in payload.order.id.")
    signal = _line("Signal", "Its name, as it is.")
    payload = _formula("What the signal says", "As in {\"amount\": payload.total}. Empty: the whole event.", 3)
    type = _line("Mission type", "That is started, as it is.", most=100)
    input = _formula("Its input", "As in {\"order_id\": payload.order.id}. Empty: the whole event.", 4)
    title = _formula("Its title", "As in \"Order \" + payload.order.id. Empty: the type's.")
    key = _formula("Key", "What tells one deed from another, as in payload.id. Empty: the event itself.")
    sample = forms.CharField(
        label="A payload to try it on", required=False, strip=False, widget=forms.Textarea(attrs={**PLAIN, "rows": 8}),
        help_text="JSON, as the sender would send it. Trying keeps nothing and does nothing.",
    )

    def __init__(self, data: QueryDict | None = None, hook: Hook | None = None) -> None:
        said = asdict(hooks.said_by(hook) if hook is not None else Content())
        super().__init__(data, {**said, "sample": SAMPLE})

    def content(self) -> dict[str, Any]:
        """What a version would say."""
        return {name: value for name, value in self.cleaned_data.items() if name not in ("name", "sample")}


class NewHookForm(HookForm):
    """A hook that is not there yet."""

    name = _line("Name", "The end of its address. Small letters, digits, - and _.", required=True, most=100)
