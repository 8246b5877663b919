"""The form of a delegation: who, from which day to which, and for which of one's groups. The verb has the last word."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.http import QueryDict

from approvals.delegations import REASON_LENGTH, DelegationRefused
from approvals.outbound import choices, timing
from missions.web.dressing import DressedForm

FIELD_OF = {"starts": "first", "until": "last"}


class DelegationForm(DressedForm):
    """Days are whole days where the giver lives."""

    to = forms.CharField(label="Who votes for you", max_length=150, help_text="A username.")
    first = forms.DateField(
        label="First day", required=False, help_text="From now on, where it is empty.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )  # fmt: skip
    last = forms.DateField(label="Last day", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    groups = forms.MultipleChoiceField(
        label="Only as one of", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all that you may decide.",
    )  # fmt: skip
    reason = forms.CharField(label="Reason", required=False, max_length=REASON_LENGTH)

    def __init__(self, giver: User, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id="id_%s", label_suffix="")
        self.zone = zone_of(giver)
        names = giver.groups.order_by("name").values_list("name", flat=True)
        choice = self.fields["groups"]
        if isinstance(choice, forms.MultipleChoiceField):
            choice.choices = [(name, name) for name in names]
        self.dress()
        self.fields["groups"].widget.attrs.pop("class", None)

    def terms(self) -> dict[str, Any]:
        """What `delegations.give` takes beside the giver."""
        cleaned = self.cleaned_data
        first, last = cleaned["first"], cleaned["last"]
        return {
            "to": cleaned["to"], "groups": cleaned["groups"], "reason": cleaned["reason"],
            "starts": self._midnight(first) if first else None, "until": self._midnight(last + dt.timedelta(days=1)),
        }

    def _midnight(self, day: dt.date) -> dt.datetime:
        return dt.datetime.combine(day, dt.time(), tzinfo=self.zone)

    def add_refusals(self, refused: DelegationRefused) -> None:
        """Show the verb's errors beside their fields."""
        for error in refused.errors:
            name = FIELD_OF.get(error["field"], error["field"])
            self.add_error(name if name in self.fields else None, error["message"])
            self.mark(name)


def zone_of(user: User) -> dt.tzinfo:
    """Where a person's days begin: the zone of their notification choices, else the installation's."""
    return timing.zone_of(choices.of(user).time_zone)
