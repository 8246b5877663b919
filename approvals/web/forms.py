"""The forms of the decision page: what was sent is read, and kept for another try.

Judges nothing: `approvals.votes` does, for the console and the API alike.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict

from approvals import ballots, edits
from approvals.models import Decision, VoteVerdict
from approvals.web import words
from missions.tools.arguments import SchemaArguments
from missions.web.schema_form import SchemaForm


class VoteForm(forms.Form):
    """One answer. The limits are those of the verb; a longer text is kept and refused by it, field by field."""

    verdict = forms.ChoiceField(choices=VoteVerdict.choices)
    digest = forms.CharField(max_length=64)
    choice = forms.CharField(required=False, max_length=ballots.CHOICE_LENGTH)
    reason_code = forms.ChoiceField(required=False, choices=[("", "No reason chosen"), *words.REASONS.items()])
    comment = forms.CharField(required=False, max_length=ballots.COMMENT_LENGTH)
    reference = forms.CharField(required=False, max_length=ballots.REFERENCE_LENGTH)
    answer = forms.CharField(required=False, max_length=ballots.ANSWER_LENGTH)
    tier = forms.CharField(required=False, max_length=150)  # only of who has voted in another one already
    confirmed = forms.CharField(required=False, max_length=64)  # the digest that the second screen restated


def answer_form(decision: Decision, data: QueryDict | None = None) -> SchemaForm | None:
    """The form of an answer that has a schema; None where it has none."""
    schema: dict[str, Any] | None = decision.answers.get("schema")
    return SchemaForm(schema, SchemaArguments(schema).check, data, prefix="answer") if schema else None


def edit_form(decision: Decision, data: QueryDict | None = None) -> SchemaForm:
    """The form of the arguments as they are asked for; `edits.checked` has the last word."""
    schema = edits.schema_of(decision)
    check = SchemaArguments(schema).check
    return SchemaForm(schema, check, data, prefix="args", initial=dict(decision.action.get("args") or {}))
