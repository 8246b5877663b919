"""One control for many missions, from the list: those that were ticked, or all that fit the filter.

All that fit, and cancelling, are asked about once more, with the number of missions. Each mission is asked by itself.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from missions.control import bulk
from missions.models import Mission
from missions.web.access import may_steer, visible_missions
from observability.console import listing
from observability.console.control_views import UNPROCESSABLE, not_allowed
from observability.console.requests import SignedInRequest
from observability.console.steer_forms import BulkForm
from observability.console.steering import CONTROLS

TOLD = 200  # refusals that are listed


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def steer_many(request: SignedInRequest) -> HttpResponse:
    """Steer many missions; a GET leads to the list."""
    if request.method != "POST":
        return redirect("missions")
    if not may_steer(request.user):
        return not_allowed(request, None)
    form, filters = BulkForm(request.POST), replace(listing.Filters.of(request.POST), after=None)
    ticked = [found for text in request.POST.getlist("mission")[: bulk.MOST] if (found := listing.uuid_of(text))]
    whole = request.POST.get("scope") == "all"
    context = {"form": form, "filters": filters, "ticked": ticked, "whole": whole}
    if wrong := _wrong(form, filters, ticked, whole=whole):
        return render(request, "missions/bulk.html", {**context, "wrong": wrong}, status=UNPROCESSABLE)
    verb, chosen = form.cleaned_data["verb"], _chosen(request, filters, ticked, whole=whole)
    context |= {"control": CONTROLS[verb], "once": uuid.uuid4().hex}
    if not form.cleaned_data["confirmed"] and (whole or verb == "cancel"):
        return render(request, "missions/bulk.html", {**context, "count": min(chosen.count(), bulk.MOST)})
    return render(request, "missions/bulk_result.html", {**context, **_asked(request, form.cleaned_data, chosen)})


def _chosen(
    request: SignedInRequest, filters: listing.Filters, ticked: list[uuid.UUID], *, whole: bool
) -> QuerySet[Mission]:
    seen = visible_missions(request.user)
    return listing.matching(seen, filters) if whole else seen.filter(uid__in=ticked).select_related("brief")


def _wrong(form: BulkForm, filters: listing.Filters, ticked: list[uuid.UUID], *, whole: bool) -> str:
    """What keeps this from being asked; empty where nothing does."""
    if not form.is_valid():
        return " ".join(str(text) for texts in form.errors.values() for text in texts)
    if whole and not filters.active:
        return "Filter the list first: all missions are too many to be meant."
    return "" if whole or ticked else "No mission was ticked."


def _asked(request: SignedInRequest, wanted: dict[str, Any], chosen: QuerySet[Mission]) -> dict[str, Any]:
    """Ask each of them, and what came of it. The same form sent again counts once for each."""
    key = f"console:bulk:{wanted['verb']}:{wanted['once']}" if wanted["once"] else None
    told = bulk.steer_all(
        chosen, wanted["verb"], reason=wanted["reason"], by=request.user.get_username(), key=key,
        compensate=wanted["compensate"],
    )  # fmt: skip
    refused = [one for one in told if one.why]
    taken, total = len(told) - len(refused), len(told)
    return {
        "taken": taken, "total": total, "refused": refused[:TOLD], "more": len(refused) - TOLD,
        "told": f"Asked of {taken} of {total} mission{'' if total == 1 else 's'}.",
    }  # fmt: skip
