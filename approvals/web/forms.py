"""The vote form of the decision page: reads what was sent and keeps it for another try.

Judges nothing: `approvals.votes` does, for the console and the API alike.
"""

from __future__ import annotations

from django import forms

from approvals import votes
from approvals.models import VoteVerdict
from approvals.web import words


class VoteForm(forms.Form):
    """One answer. The limits are those of the verb; a longer text is kept and refused by it, field by field."""

    verdict = forms.ChoiceField(choices=VoteVerdict.choices)
    digest = forms.CharField(max_length=64)
    choice = forms.CharField(required=False, max_length=votes.REASON_LENGTH)
    reason_code = forms.ChoiceField(required=False, choices=[("", "No reason chosen"), *words.REASONS.items()])
    comment = forms.CharField(required=False, max_length=votes.COMMENT_LENGTH)
    reference = forms.CharField(required=False, max_length=votes.REFERENCE_LENGTH)
    confirmed = forms.CharField(required=False, max_length=64)  # the digest that the second screen restated
