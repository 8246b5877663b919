"""The form of a decision that hands it on to somebody else for a while. Its fields are `decision_delegate.html`."""

from __future__ import annotations

import datetime as dt
import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from approvals import delegations
from approvals.delegations import DelegationRefused
from approvals.web.forms import VoteForm
from approvals.web.sheet import UNPROCESSABLE, answers_forms, person, show, visible
from missions.engine.clock import database_now

SPANS = {"1": "a day", "3": "three days", "7": "a week", "14": "two weeks"}


@answers_forms
def delegate(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Let somebody decide this one in one's place; a refusal shows the page again and says why."""
    decision = visible(request, decision_id)
    days = request.POST.get("days", "")
    until = database_now() + dt.timedelta(days=int(days) if days in SPANS else 1)
    reason = request.POST.get("reason", "")
    try:
        made = delegations.give(
            person(request), request.POST.get("to", ""), until=until, decision=decision, reason=reason
        )
    except DelegationRefused as refused:
        told = {"code": refused.code, "text": f"It was not handed on. {refused}"}
        return show(request, decision, VoteForm(), status=UNPROCESSABLE, problem=told)
    messages.success(request, f"{made.receiver} may decide this in your place for {SPANS.get(days, 'a day')}.")
    return redirect("decision", decision_id)
