"""The forms of a decision beside voting: edit, undo, withdraw, comment, calling back, and saying what
one looked at."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from approvals import comments, edits, holding, looks, queue, quorum, refusals, tiers, votes
from approvals.models import Decision, VoteVerdict
from approvals.outbound import callbacks, webhooks
from approvals.roll import Roll
from approvals.web import changes
from approvals.web.forms import VoteForm, edit_form
from approvals.web.sheet import UNPROCESSABLE, answers_forms, context_of, person, refused, show, visible
from missions.web.schema_form import SchemaForm

FORBIDDEN, NO_CONTENT, SEE_OTHER = 403, 204, 303


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def edit(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """The typed form of the arguments; a good POST asks for them instead of what was asked."""
    decision = visible(request, decision_id)
    if (refusal := _why_not_edit(request, decision)) is not None:
        problem = {"code": "not_eligible", "text": refusal}
        return show(request, decision, VoteForm(request.POST), status=FORBIDDEN, problem=problem)
    form = edit_form(decision, request.POST if request.method == "POST" else None)
    if request.method != "POST":
        return _editing(request, decision, form)
    if not form.is_valid():
        return _editing(request, decision, form, status=UNPROCESSABLE)
    return _edited(request, decision, form)


def _why_not_edit(request: HttpRequest, decision: Decision) -> str | None:
    if not decision.is_open:
        return "This decision is settled, so there is nothing to edit."
    return edits.why_not(decision) or quorum.why_not(person(request), decision)


def _edited(request: HttpRequest, decision: Decision, form: SchemaForm) -> HttpResponse:
    vote = VoteForm({**request.POST.dict(), "verdict": VoteVerdict.APPROVE.value})
    try:
        votes.cast(
            decision.pk, person(request), VoteVerdict.APPROVE, request.POST.get("digest", ""),
            comment=request.POST.get("comment", ""), edited_args=form.value(), channel="console",
        )
    except refusals.BadVote as refusal:
        for error in refusal.errors:
            name = error["field"].removeprefix("edited_args").lstrip(".").partition(".")[0]
            form.add_error(name if name in form.fields else None, error["message"])
            form.mark(name)
        return _editing(request, visible(request, decision.pk), form, status=UNPROCESSABLE)
    except refusals.VoteRefused as refusal:
        return refused(request, visible(request, decision.pk), vote, refusal)
    told = "It is asked anew with what you changed. Earlier votes are void, yours does not count: others decide."
    messages.success(request, told)
    return HttpResponse(status=SEE_OTHER, headers={"Location": reverse("decision", args=[decision.pk])})


def _editing(request: HttpRequest, decision: Decision, form: SchemaForm, status: int = 200) -> HttpResponse:
    fresh, me = tiers.loaded(decision), person(request).pk
    roll = Roll.call([fresh])
    left = {
        tier.label: len(quorum.may_vote(fresh, tier, roll) - {me}) >= tier.quorum for tier in fresh.tiers.all()
    }
    typed = _typed(form)
    context = {
        **context_of(request, decision), "form": form, "comment": request.POST.get("comment", ""),
        "short_of": [group for group, enough in left.items() if not enough],
        "changed": changes.between(decision.action["args"], typed, edits.schema_of(decision)) if typed else [],
    }
    return render(request, "approvals/edit.html", context, status=status)


def _typed(form: SchemaForm) -> dict[str, Any]:
    """What was typed, as far as it could be read."""
    return form.value() if form.is_bound and hasattr(form, "cleaned_data") and not form.errors else {}


@answers_forms
def undo(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Take one's own counted approval back while it is held."""
    visible(request, decision_id)
    try:
        holding.undo(decision_id, person(request), request.POST.get("reason", ""))
    except refusals.VoteRefused as refusal:
        return refused(request, visible(request, decision_id), VoteForm(request.POST), refusal)
    messages.success(request, "Your approval is taken back. The decision is open again; other votes stand.")
    return redirect("decision", decision_id)


@answers_forms
def withdraw(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Take back what one asked for."""
    visible(request, decision_id)
    try:
        queue.withdraw_own(decision_id, person(request), request.POST.get("reason", ""))
    except refusals.VoteRefused as refusal:
        return refused(request, visible(request, decision_id), VoteForm(request.POST), refusal)
    messages.success(request, "It is withdrawn; nobody is asked any more.")
    return redirect("decision", decision_id)


@answers_forms
def comment(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Write in the thread."""
    decision, text = visible(request, decision_id), request.POST.get("text", "")
    try:
        made = comments.add(decision_id, person(request), text, key=request.POST.get("once") or None)
    except refusals.BadVote as refusal:
        remark = {"text": text, "error": str(refusal)}
        return show(request, decision, VoteForm(), status=UNPROCESSABLE, remark=remark)
    return redirect(f"{reverse('decision', args=[decision_id])}#comment-{made.pk}")


@answers_forms
def look(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Record what was looked at: by a script with no answer, or by the button, back to the page."""
    decision = visible(request, decision_id)
    what, place = request.POST.get("what", ""), request.POST.get("item", "0")
    places = range(1, len(decision.evidence) + 1) if place == "all" else [int(place) if place.isdecimal() else 0]
    try:
        for one in places:
            looks.record(decision_id, person(request), what, one)
    except refusals.BadVote as refusal:
        return HttpResponseBadRequest(str(refusal))
    if request.headers.get("X-Looked"):
        return HttpResponse(status=NO_CONTENT)
    return redirect(f"{reverse('decision', args=[decision_id])}#evidence")


@answers_forms
def call_back(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Send the answer once more to the system outside that asked."""
    callback = callbacks.of(visible(request, decision_id), person(request))
    if callback is None or callback.delivery is None:
        raise Http404("There is no callback to deliver again, or none for you to see.")
    if webhooks.again(callback.delivery.pk):
        messages.success(request, "The answer is sent once more, under the same id.")
    else:
        messages.error(request, "It is being sent right now.")
    return HttpResponseRedirect(f"{reverse('decision', args=[decision_id])}#callback", status=SEE_OTHER)
