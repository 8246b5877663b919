"""The page of one decision: everything that it shows, and itself again with what came of a form.

Reads only; the views behind its forms are in `pages` and `deeds`. What a person may not see is a 404.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Collection
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from approvals import ballots, comments, edits, holding, looks, precedents, queue, quorum, refusals
from approvals.models import Decision, Seen
from approvals.outbound import callbacks
from approvals.web import changes, dossier, exhibits, listing, words
from approvals.web.forms import VoteForm, answer_form
from approvals.web.values import Value, value_of
from missions.web import differing
from missions.web.access import may_steer
from missions.web.schema_form import SchemaForm

FORBIDDEN, CONFLICT, UNPROCESSABLE = 403, 409, 422
THREAD_SHOWN = 100
STAYS = "queue_stays"  # of the session: whether a vote leads back to its own page
AUDITING = ("auditors", "operators")  # who sees how long others looked before they voted
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


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page; a restored history entry wants all of it."""
    htmx: Any = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.history_restore_request


def show(
    request: HttpRequest, decision: Decision, form: VoteForm, *, status: int = 200,
    errors: dict[str, str] | None = None, problem: dict[str, str] | None = None, answer: SchemaForm | None = None,
    remark: dict[str, str] | None = None,
) -> HttpResponse:
    """The whole page, with what was typed and what came of it; `remark` is a comment that was refused."""
    typed = {name: form[name].value() or "" for name in ("comment", "reason_code", "choice", "reference", "answer")}
    wrong = errors or {}
    context = {
        **context_of(request, decision), "typed": typed, "errors": wrong, "problem": problem,
        "form_error": wrong.get("verdict") or wrong.get("digest") or wrong.get("evidence"),
        "reasons": words.REASONS.items(), "answer_form": answer or answer_form(decision),
        "remark": remark or {"text": "", "error": ""},
        "once": uuid.uuid4().hex, "stays": request.session.get(STAYS, False),
        "changed_since": changes.since(decision, form["digest"].value() or ""),
    }
    return render(request, "approvals/decision.html", context, status=status)


def context_of(request: HttpRequest, decision: Decision) -> dict[str, Any]:
    """What every part of the page needs."""
    [row], user = dossier.rows([decision]), person(request)
    opened = looks.opened(decision, user)
    shown = exhibits.evidence(decision, opened)
    return {
        "decision": decision, "row": row, "stages": dossier.stages(decision), "arguments": dossier.arguments(decision),
        "known": dossier.known(decision), "change": dossier.policy_change(decision, user),
        "differs": differing.rows(decision.facts.get("differs")), "evidence": shown,
        "unopened": list(dict.fromkeys(item.title for item in shown if item.demanded and not item.opened)),
        "undo": words.UNDO[decision.reversibility], "heading": words.HEADINGS.get(decision.kind, ""),
        "options": dossier.options(decision), "engines_own": dossier.is_engines_own(decision),
        "roll_back_to": dossier.asked_after(decision) if may_steer(user) else 0,
        "aftermath": dossier.aftermath(decision), "time_limits": list(dossier.time_limits(decision)),
        "verdict_words": words.VOTED, "is_mine": row.claimant == user.get_username(),
        **_seat(decision, user), **_around(decision, user), **_past(decision, user, shown, opened),
        **_callback(decision, user),
    }


def _seat(decision: Decision, user: User) -> dict[str, Any]:
    """Why this person has no vote now; and of who has voted already, the tier in which they may vote once more."""
    seat = quorum.seat_of(user, decision) if decision.is_open else ""
    if isinstance(seat, str):
        return {"why_not": seat or None, "again_in": ""}
    voted = any(vote.voter_id == user.pk for vote in quorum.standing(decision))
    return {"why_not": None, "again_in": seat.tier.label if voted else ""}


def _around(decision: Decision, user: User) -> dict[str, Any]:
    """What people did with it beside voting, and what this person may do."""
    made = list(comments.thread(decision).order_by("-pk")[:THREAD_SHOWN])
    replaced = list(decision.supersedes.order_by("pk")[:1])
    asks_more = decision.is_open and decision.answers.get("form") in ("text", "schema")
    return {
        "edits": changes.edits_of(decision), "may_edit": decision.is_open and edits.why_not(decision) is None,
        "may_undo": decision.is_held and holding.counted_vote(decision, user) is not None,
        "may_withdraw": decision.is_open and queue.why_not_withdraw(decision, user) is None,
        "comments": made[::-1], "more_comments": len(made) == THREAD_SHOWN,
        "replaces": replaced[0] if replaced else None,
        "evidence_changes": changes.of_evidence(decision) if replaced else [],
        "replaced_changes": changes.superseding(replaced[0] if replaced else None, decision),
        "new_changes": changes.superseding(decision, decision.superseded_by),
        "first_answer": ballots.first_answer(decision) if asks_more else None,
        "given_answer": _given(decision), "form_changes": changes.of_form(decision),
    }


def _callback(decision: Decision, user: User) -> dict[str, Any]:
    """How the answer goes back to a system outside, for who may know."""
    found = callbacks.of(decision, user)
    delivery = found.delivery if found else None
    return {"callback": found, "callback_state": words.DELIVERIES[delivery.state] if delivery else None}


def _given(decision: Decision) -> list[Value]:
    """The answer to a question, once there is one."""
    value = (decision.resolution or {}).get("value")
    if isinstance(value, dict):
        return [value_of(name, one) for name, one in value.items()]
    return [value_of("answer", value)] if value is not None else []


def _past(
    decision: Decision, user: User, shown: list[exhibits.Exhibit], opened: Collection[tuple[str, int]]
) -> dict[str, Any]:
    """Earlier decisions like this one; how they ended is told once the evidence was opened."""
    sees_all = user.is_superuser or user.groups.filter(name__in=AUDITING).exists()
    looked = any(what == Seen.EVIDENCE for what, _ in opened)
    return {
        "precedents": precedents.of(decision, user) if decision.tool else None,
        "tells_outcomes": looked or not shown or not decision.is_open, "shows_attention": sees_all,
    }


def refused(request: HttpRequest, decision: Decision, form: VoteForm, refusal: refusals.VoteRefused) -> HttpResponse:
    """The page with the refusal on top, and everything that was typed."""
    if isinstance(refusal, refusals.BadVote):
        errors = {error["field"]: error["message"] for error in refusal.errors}
        return show(request, decision, form, status=UNPROCESSABLE, errors=errors)
    status = FORBIDDEN if isinstance(refusal, refusals.NotEligible) else CONFLICT
    return show(request, decision, form, status=status, problem={"code": refusal.code, "text": str(refusal)})


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
