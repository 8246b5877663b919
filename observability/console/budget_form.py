"""The form of a period budget. The verb's own check has the last word; the form keeps what was typed and shows errors
by field."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict

from missions.engine.period_budgets import FIELDS, GROUP, Standing
from missions.errors import InvalidInput
from missions.models import Counted, Exhausted, Period, Subject
from missions.web.dressing import DressedForm


class BudgetForm(DressedForm):
    """A new budget; of the one given, only what may be changed."""

    name = forms.CharField(label="Name", max_length=100, help_text="Letters, digits, - and _. Rules name it.")
    subject = forms.ChoiceField(label="Whose use", choices=Subject.choices)
    subject_name = forms.CharField(
        label="Its name", required=False, max_length=200,
        help_text="Of the mission type, agent or tool, exactly; empty for everything.",
    )  # fmt: skip
    counts = forms.ChoiceField(label="What is counted", choices=Counted.choices, initial=Counted.EFFECTS)
    currency = forms.CharField(label="Currency", required=False, max_length=10, help_text="Of money, as in GBP.")
    amount = forms.DecimalField(label="Amount", help_text="What may be used in one period.")
    period = forms.ChoiceField(label="Period", choices=Period.choices, initial=Period.DAY)
    zone = forms.CharField(label="Time zone", max_length=60, initial="UTC", help_text="Of the calendar: Europe/London.")
    rolling_seconds = forms.IntegerField(
        label="Rolling seconds", required=False, help_text="Of a rolling period: what counts is the last so many."
    )
    on_exhausted = forms.ChoiceField(label="When it is used up", choices=Exhausted.choices)
    group = forms.CharField(label="Who is asked", required=False, max_length=150, initial=GROUP, help_text="A group.")
    extension = forms.DecimalField(
        label="What they can add", required=False, help_text="In a period, each time they are asked; else the amount."
    )

    def __init__(self, data: QueryDict | None = None, standing: Standing | None = None) -> None:
        self.standing = standing
        initial = {name: getattr(standing.budget, name) for name in FIELDS} if standing is not None else None
        if initial is not None:
            initial |= {name: f"{initial[name].normalize():f}" for name in ("amount", "extension")}
        super().__init__(data, auto_id="id_%s", label_suffix="", initial=initial)
        for name in list(self.fields) if standing is not None else ():
            if name not in FIELDS:
                del self.fields[name]
        for field in self.fields.values():
            if isinstance(field, forms.IntegerField | forms.DecimalField):
                field.widget = forms.TextInput(attrs={"inputmode": "decimal"})
        self.dress()

    def values(self) -> dict[str, Any]:
        """What `period_budgets.add` and `change` take."""
        return {name: value for name, value in self.cleaned_data.items() if value is not None}

    def add_refusals(self, refused: InvalidInput) -> None:
        """Show the verb's errors beside their fields."""
        for error in refused.errors:
            field = str(error["field"])
            self.add_error(field if field in self.fields else None, str(error["message"]))
            self.mark(field)
