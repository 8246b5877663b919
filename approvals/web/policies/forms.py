"""The small forms beside the editor: submitting a version, changing a mode, importing a file.

They read what was sent and keep it for another try; the verbs of `approvals.policies` judge it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from django import forms

from approvals.models import Mode
from approvals.policies.files import MOST_BYTES

NOTE_LENGTH: Final = 2000
SCOPE: Final = ("mission_type", "tool", "agent")
AS_THE_REST: Final = "as_the_rest"


class SubmitForm(forms.Form):
    """Why the version is wanted, and when it shall come into force."""

    note = forms.CharField(required=False, max_length=NOTE_LENGTH)
    activate_at = forms.DateTimeField(required=False, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])

    def clean_activate_at(self) -> dt.datetime | None:
        """The time, which was given in UTC."""
        at: dt.datetime | None = self.cleaned_data["activate_at"]
        return at.replace(tzinfo=dt.UTC) if at else None


class ModeForm(forms.Form):
    """How far a policy binds, as a whole or where the scope says."""

    mode = forms.ChoiceField(choices=[*Mode.choices, (AS_THE_REST, "As the rest")])
    reason = forms.CharField(max_length=NOTE_LENGTH, error_messages={"required": "Say why; it stays in the record."})
    mission_type = forms.CharField(required=False, max_length=200)
    tool = forms.CharField(required=False, max_length=200)
    agent = forms.CharField(required=False, max_length=200)

    def clean(self) -> dict[str, Any]:
        """Only the mode of a scope can be taken away."""
        cleaned = super().clean() or {}
        if cleaned.get("mode") == AS_THE_REST and not self.scope:
            self.add_error("mode", "Name the scope whose own mode is to go.")
        return cleaned

    @property
    def scope(self) -> dict[str, str] | None:
        """Where it is to be so; None for the whole policy."""
        narrowed = {name: value for name in SCOPE if (value := self.cleaned_data.get(name, "")) not in ("", "*")}
        return narrowed or None

    @property
    def wanted(self) -> Mode | None:
        """The mode; None where the scope is to have none of its own."""
        mode = self.cleaned_data["mode"]
        return None if mode == AS_THE_REST else Mode(mode)


class ImportForm(forms.Form):
    """A policy file, chosen or pasted."""

    file = forms.FileField(required=False, allow_empty_file=True)
    text = forms.CharField(required=False, strip=False, max_length=MOST_BYTES)

    def clean(self) -> dict[str, Any]:
        """The file wins over the text."""
        cleaned = super().clean() or {}
        sent = cleaned.get("file")
        if sent is not None:
            if sent.size > MOST_BYTES:
                raise forms.ValidationError(f"The file takes {sent.size:,} bytes; the limit is {MOST_BYTES:,}.")
            cleaned["text"] = _decoded(sent.read())
        elif not cleaned.get("text", "").strip() and not self.errors:
            raise forms.ValidationError("Choose a file, or paste its text.")
        return cleaned


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise forms.ValidationError(f"The file is not UTF-8 at byte {error.start}.") from error
