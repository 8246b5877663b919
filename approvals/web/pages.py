"""The pages of the queue: the list, a decision, and the forms that vote, claim and release.

Server-rendered, and complete without scripts. A GET never changes anything; a POST calls one verb and redirects, or
renders the page again with what was typed. What a person may not see is a 404.
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from approvals import ballots, queue, quorum, refusals, votes
from approvals.models import Decision, DecisionKind, TierState, VoteVerdict
from approvals.models.reach import standing_of
from approvals.policies import versions
from approvals.web import dossier, listing, words
from approvals.web.forms import VoteForm, answer_form
from approvals.web.listing import View
from approvals.web.sheet import (
    STAYS,
    UNPROCESSABLE,
    answers_forms,
    context_of,
    is_fragment,
    person,
    refused,
    show,
    visible,
)
from missions.web.problems import Problem
from missions.web.schema_form import SchemaForm

SEE_OTHER = 303
ROWS = "25"  # on a page of the queue, unless its address says otherwise; at most 100


@require_safe
@login_required
def queue_page(request: HttpRequest) -> HttpResponse:
    """The decisions of one saved view; as a fragment where htmx asks for it."""
    user = person(request)
    try:
        view = listing.view_of(request.GET) or View.MY_TIERS
        standing = standing_of(user)
        page = listing.page(user, {"limit": ROWS, **request.GET.dict()}, view=view, standing=standing)
    except Problem as problem:
        raise BadRequest(problem.text) from problem
    counts = listing.counts(standing)
    context = {
        "view": view, "tabs": _tabs(view, counts), "queue_open": counts[View.MY_TIERS],
        "rows": (rows := dossier.rows(page.rows)),
        "may_bulk": view == View.MY_TIERS and any(row.may_bulk for row in rows),
        "kinds": DecisionKind.choices, "kind": request.GET.get("kind", ""), "q": request.GET.get("q", ""),
        "filtered": any(request.GET.get(name) for name in ("q", "kind", "tier", "state")),
        "next_url": _with(request, cursor=page.next) if page.next else "", "is_first": "cursor" not in request.GET,
        "here": request.get_full_path(), "groups": sorted(standing.groups),
        "policy_fault": versions.in_force().unreadable,
    }
    return render(request, "approvals/queue.html#list" if is_fragment(request) else "approvals/queue.html", context)


def _tabs(current: View, counts: dict[str, int]) -> list[dict[str, Any]]:
    """The saved views as links, with how many each holds (the settled ones are not counted)."""
    return [
        {"view": view, "label": view.label, "count": counts.get(view), "current": view == current,
         "more": counts.get(view) == listing.COUNTED,
         "url": f"{reverse('queue')}?{urlencode({'view': view.value})}"}
        for view in View
    ]


def _with(request: HttpRequest, **changes: str) -> str:
    return f"{request.path}?{urlencode({**request.GET.dict(), **changes})}"


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def decision_page(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """One decision; as a fragment without its form where htmx asks for it.

    A POST changes nothing either: it brings along what was typed, which has no place in an address.
    """
    decision = visible(request, decision_id)
    if is_fragment(request):
        return render(request, "approvals/decision.html#dossier", {**context_of(request, decision), "oob": True})
    return show(request, decision, VoteForm(request.POST))


@answers_forms
def vote(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Cast a vote and go on to the next decision; an irreversible action is restated and confirmed first."""
    decision, form = visible(request, decision_id), VoteForm(request.POST)
    typed = _typed_answer(request, decision)
    if not form.is_valid():
        errors = {name: " ".join(map(str, texts)) for name, texts in form.errors.items()}
        return show(request, decision, form, status=UNPROCESSABLE, errors=errors, answer=typed)
    sent = form.cleaned_data
    if typed is not None and sent["verdict"] == VoteVerdict.APPROVE and not typed.is_valid():
        return show(request, decision, form, status=UNPROCESSABLE, answer=typed)
    if _wants_confirmation(decision, sent, person(request)):
        context = {**context_of(request, decision), "sent": sent, "stays": request.POST.get(STAYS) == "on"}
        return render(request, "approvals/confirm.html", context)
    names = ("verdict", "digest", "choice", "reason_code", "comment", "reference", "tier")
    ballot = {name: sent[name] for name in names}
    try:
        answer = _answer(decision, sent, typed, seconds="second" in request.POST)
        result = votes.cast(decision_id, person(request), **ballot, answer=answer, channel="console")
    except refusals.VoteRefused as refusal:
        return refused(request, visible(request, decision_id), form, refusal)
    messages.success(request, _told(decision, result))
    return _onward(request, decision_id)


def _typed_answer(request: HttpRequest, decision: Decision) -> SchemaForm | None:
    """What was typed into the form of an answer; None where there is no such form."""
    return answer_form(decision, request.POST) if "second" not in request.POST else None


def _answer(decision: Decision, sent: dict[str, Any], typed: SchemaForm | None, *, seconds: bool) -> Any:
    """The answer to a question as data; whoever seconds one gives the first voter's again."""
    if sent["verdict"] != VoteVerdict.APPROVE or decision.answers.get("form") not in ("text", "schema"):
        return None
    if seconds and (made := ballots.first_answer(decision)) is not None:
        return made.answer
    return typed.value() if typed is not None else sent["answer"]


def _wants_confirmation(decision: Decision, sent: dict[str, Any], user: User) -> bool:
    """Approving what can not be taken back needs a second screen that restates it; what would be refused does not."""
    unconfirmed = sent["confirmed"] != decision.digest and sent["digest"] == decision.digest
    irreversible = decision.reversibility == "irreversible" and sent["verdict"] == "approve"
    return irreversible and unconfirmed and decision.is_open and quorum.why_not(user, decision) is None


def _told(decision: Decision, result: votes.CastResult) -> str:
    """What a vote did, in one line."""
    if result.repeated:
        done = "Your vote was recorded before; nothing changed"
    elif result.resolution is not None:
        done = words.STATES[result.state].word
    elif result.tier_state == TierState.MET:
        done = "Your tier is done, and the next one is asked"
    else:
        done = f"Your vote counts, {result.votes} of {result.quorum}"
    return f"{done}: {words.plain(decision.sentence)}"


def _onward(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """On to the next decision that waits for this person, else back to the queue; or back here, for who wants that."""
    if STAYS in request.POST or request.session.get(STAYS):
        request.session[STAYS] = request.POST.get(STAYS) == "on"
    if request.POST.get(STAYS) == "on":
        return HttpResponse(status=SEE_OTHER, headers={"Location": reverse("decision", args=[decision_id])})
    following = listing.BY_DUE.take(listing.of_view(person(request), View.MY_TIERS), "", 1)
    target = reverse("decision", args=[following[0].pk]) if following else reverse("queue")
    return HttpResponse(status=SEE_OTHER, headers={"Location": target})


@answers_forms
def claim(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Take the lease, from whoever holds it."""
    visible(request, decision_id)
    try:
        taken = queue.claim(decision_id, person(request))
    except refusals.VoteRefused as refusal:
        return refused(request, visible(request, decision_id), VoteForm(request.POST), refusal)
    whose = f" You took it over from {taken.taken_from}." if taken.taken_from else ""
    messages.success(request, f"You have it for 15 minutes; others see that.{whose}")
    return redirect("decision", decision_id)


@answers_forms
def release(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Give the lease back."""
    visible(request, decision_id)
    try:
        queue.release(decision_id, person(request))
    except refusals.VoteRefused as refusal:
        return refused(request, visible(request, decision_id), VoteForm(request.POST), refusal)
    return redirect("decision", decision_id)


