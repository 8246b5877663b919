"""Answering many decisions of the queue together: what they amount to, a typed count, then a result for each."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from approvals import bulk, refusals
from approvals.models import Decision
from approvals.web import dossier, listing, words
from approvals.web.sheet import UNPROCESSABLE, person


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def choose(request: HttpRequest) -> HttpResponse:
    """What was ticked and is still open, with its totals, before anything is decided. A GET leads back to the queue."""
    if request.method != "POST":
        return redirect("queue")
    decisions = [decision for decision in _ticked(request) if decision.is_open]
    errors = bulk.mismatches(decisions)
    return _asked(request, decisions, errors, status=UNPROCESSABLE if errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def vote(request: HttpRequest) -> HttpResponse:
    """Vote on all of them; shows what came of each."""
    if request.method != "POST":
        return redirect("queue")
    decisions, sent = _ticked(request), request.POST
    digests = dict(pair.split(":", 1) for pair in sent.getlist("item") if ":" in pair)
    items = [bulk.Item(id=one.pk, digest=digests.get(str(one.pk), "")) for one in decisions]
    count = sent.get("count", "").strip()
    try:
        results = bulk.cast(
            person(request), decisions, items, verdict=sent.get("verdict", ""), comment=sent.get("comment", ""),
            count=int(count) if count.isdecimal() and len(count) < 6 else -1, channel="console",
            reason_code=sent.get("reason_code", "") if sent.get("reason_code", "") in words.REASONS else "",
        )
    except refusals.BadVote as refusal:
        return _asked(request, decisions, refusal.errors, status=UNPROCESSABLE)
    done = sum(not result.code for result in results)
    context = {"results": results, "done": done, "refused": len(results) - done, "states": words.STATES}
    return render(request, "approvals/bulk_done.html", context)


def _ticked(request: HttpRequest) -> list[Decision]:
    """The decisions that were ticked and that this person may see, in the order in which they were ticked."""
    wanted = []
    for item in request.POST.getlist("item")[: bulk.MOST + 1]:
        try:
            wanted.append(uuid.UUID(item.partition(":")[0]))
        except ValueError:
            continue
    return listing.seen_of(person(request), wanted)


def _asked(
    request: HttpRequest, decisions: list[Decision], errors: list[dict[str, str]], *, status: int
) -> HttpResponse:
    ids = {str(decision.pk) for decision in decisions}
    by_field = {error["field"]: error["message"] for error in errors if error["field"] not in ids}
    by_row = {error["field"]: error["message"] for error in errors if error["field"] in ids}
    context: dict[str, Any] = {
        "rows": [(row, by_row.get(str(row.decision.pk), "")) for row in dossier.rows(decisions)],
        "total": bulk.total(decisions), "errors": by_field, "pile_error": by_field.get("items", ""),
        "may_go_on": not by_row and "items" not in by_field,
        "typed": {name: request.POST.get(name, "") for name in ("count", "comment", "reason_code")},
        "reasons": words.REASONS.items(),
    }
    return render(request, "approvals/bulk.html", context, status=status)
