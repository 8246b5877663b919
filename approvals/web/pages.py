"""The pages of the queue: the list, a decision, and the forms that vote, claim and release.

Server-rendered, and complete without scripts. A GET never changes anything; a POST calls one verb and redirects, or
renders the page again with what was typed. What a person may not see is a 404.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from approvals import queue, quorum, refusals, votes
from approvals.models import Decision, DecisionKind, TierState
from approvals.web import dossier, listing, words
from approvals.web.forms import VoteForm
from approvals.web.listing import View
from missions.web import differing
from missions.web.access import may_steer
from missions.web.problems import Problem

SEE_OTHER, FORBIDDEN, CONFLICT, UNPROCESSABLE = 303, 403, 409, 422
FormView = Callable[[HttpRequest, uuid.UUID], HttpResponse]


def answers_forms(view: FormView) -> FormView:
    """The view behind a decision's form. A GET of its address, as by a reload, leads back to the decision."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @login_required
    @functools.wraps(view)
    def answer(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
        if request.method != "POST":
            return redirect("decision", decision_id)
        return view(request, decision_id)

    return answer


@require_safe
@login_required
def queue_page(request: HttpRequest) -> HttpResponse:
    """The decisions of one saved view; as a fragment where htmx asks for it."""
    user = person(request)
    try:
        view = listing.view_of(request.GET) or View.MY_TIERS
        page = listing.page(user, request.GET, view=view)
    except Problem as problem:
        raise BadRequest(problem.text) from problem
    context = {
        "view": view, "tabs": _tabs(view, listing.counts(user)), "rows": dossier.rows(page.rows),
        "kinds": DecisionKind.choices, "kind": request.GET.get("kind", ""), "q": request.GET.get("q", ""),
        "filtered": any(request.GET.get(name) for name in ("q", "kind", "tier", "state")),
        "next_url": _with(request, cursor=page.next) if page.next else "", "is_first": "cursor" not in request.GET,
        "here": request.get_full_path(), "groups": list(user.groups.values_list("name", flat=True)),
    }
    return render(request, "approvals/queue.html#list" if _fragment(request) else "approvals/queue.html", context)


def _tabs(current: View, counts: dict[str, int]) -> list[dict[str, Any]]:
    """The saved views as links, with how many each holds (the settled ones are not counted)."""
    return [
        {"view": view, "label": view.label, "count": counts.get(view), "current": view == current,
         "url": f"{reverse('queue')}?{urlencode({'view': view.value})}"}
        for view in View
    ]


def _with(request: HttpRequest, **changes: str) -> str:
    return f"{request.path}?{urlencode({**request.GET.dict(), **changes})}"


def _fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page; a restored history entry wants all of it."""
    htmx: Any = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.history_restore_request


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def decision_page(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """One decision; as a fragment without its form where htmx asks for it.

    A POST changes nothing either: it brings along what was typed, which has no place in an address.
    """
    decision = visible(request, decision_id)
    if _fragment(request):
        return render(request, "approvals/decision.html#dossier", _context(request, decision))
    return show(request, decision, VoteForm(request.POST))


def show(
    request: HttpRequest, decision: Decision, form: VoteForm, *, status: int = 200,
    errors: dict[str, str] | None = None, problem: dict[str, str] | None = None,
) -> HttpResponse:
    """The whole page, with what was typed and what came of it."""
    typed = {name: form[name].value() or "" for name in ("comment", "reason_code", "choice", "reference")}
    context = {
        **_context(request, decision), "typed": typed, "errors": errors or {}, "problem": problem,
        "form_error": (errors or {}).get("verdict") or (errors or {}).get("digest"), "reasons": words.REASONS.items(),
    }
    return render(request, "approvals/decision.html", context, status=status)


def _context(request: HttpRequest, decision: Decision) -> dict[str, Any]:
    """What every part of the page needs."""
    [row] = dossier.rows([decision])
    return {
        "decision": decision, "row": row, "stages": dossier.stages(decision), "arguments": dossier.arguments(decision),
        "known": dossier.known(decision),
        "differs": differing.rows(decision.facts.get("differs")), "evidence": dossier.evidence(decision),
        "undo": words.UNDO[decision.reversibility], "heading": words.HEADINGS.get(decision.kind, ""),
        "options": dossier.options(decision), "engines_own": dossier.is_engines_own(decision),
        "roll_back_to": dossier.asked_after(decision) if may_steer(person(request)) else 0,
        "aftermath": dossier.aftermath(decision), "time_limits": list(dossier.time_limits(decision)),
        "why_not": quorum.why_not(person(request), decision) if decision.is_open else None,
        "verdict_words": words.VOTED, "is_mine": row.claimant == person(request).get_username(),
    }


@answers_forms
def vote(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Cast a vote and go on to the next decision; an irreversible action is restated and confirmed first."""
    decision, form = visible(request, decision_id), VoteForm(request.POST)
    if not form.is_valid():
        errors = {name: " ".join(map(str, texts)) for name, texts in form.errors.items()}
        return show(request, decision, form, status=UNPROCESSABLE, errors=errors)
    sent = form.cleaned_data
    if _wants_confirmation(decision, sent, person(request)):
        return render(request, "approvals/confirm.html", {**_context(request, decision), "sent": sent})
    ballot = {name: sent[name] for name in ("verdict", "digest", "choice", "reason_code", "comment", "reference")}
    try:
        result = votes.cast(decision_id, person(request), **ballot, channel="console")
    except refusals.VoteRefused as refusal:
        return _refused(request, visible(request, decision_id), form, refusal)
    messages.success(request, _told(decision, result))
    return _onward(request)


def _wants_confirmation(decision: Decision, sent: dict[str, Any], user: User) -> bool:
    """Approving what can not be taken back needs a second screen that restates it; what would be refused does not."""
    unconfirmed = sent["confirmed"] != decision.digest and sent["digest"] == decision.digest
    irreversible = decision.reversibility == "irreversible" and sent["verdict"] == "approve"
    return irreversible and unconfirmed and decision.is_open and quorum.why_not(user, decision) is None


def _refused(
    request: HttpRequest, decision: Decision, form: VoteForm, refusal: refusals.VoteRefused
) -> HttpResponse:
    """The page with the refusal on top, and everything that was typed."""
    if isinstance(refusal, refusals.BadVote):
        errors = {error["field"]: error["message"] for error in refusal.errors}
        return show(request, decision, form, status=UNPROCESSABLE, errors=errors)
    status = FORBIDDEN if isinstance(refusal, refusals.NotEligible) else CONFLICT
    return show(request, decision, form, status=status, problem={"code": refusal.code, "text": str(refusal)})


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


def _onward(request: HttpRequest) -> HttpResponse:
    """On to the next decision that waits for this person, else back to the queue."""
    following = listing.BY_DUE.apply(listing.of_view(person(request), View.MY_TIERS)).first()
    target = reverse("decision", args=[following.pk]) if following else reverse("queue")
    return HttpResponse(status=SEE_OTHER, headers={"Location": target})


@answers_forms
def claim(request: HttpRequest, decision_id: uuid.UUID) -> HttpResponse:
    """Take the lease, from whoever holds it."""
    visible(request, decision_id)
    try:
        taken = queue.claim(decision_id, person(request))
    except refusals.VoteRefused as refusal:
        return _refused(request, visible(request, decision_id), VoteForm(request.POST), refusal)
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
        return _refused(request, visible(request, decision_id), VoteForm(request.POST), refusal)
    return redirect("decision", decision_id)


def visible(request: HttpRequest, decision_id: uuid.UUID) -> Decision:
    """The decision with its details. Raises Http404, also where this person may not see it."""
    found = listing.seen(person(request), decision_id)
    if found is None:
        raise Http404("There is no such decision, or you may not see it.")
    return found


def person(request: HttpRequest) -> User:
    """Who is signed in; every view here demands a sign-in first."""
    assert isinstance(request.user, User)
    return request.user
