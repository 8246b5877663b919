"""The pages of missions: the list, and one mission. Each view parses, authorises, reads, renders."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from approvals.outbound import following
from missions.engine.controls import REASON_LENGTH
from missions.engine.registry import all_types
from missions.errors import UnknownMission
from missions.models import Mission, State
from missions.visibility import seen_by
from missions.web.access import may_start, may_steer, visible_archive, visible_mission
from observability import stream
from observability.console import fragments, listing
from observability.console.branches import branches_of
from observability.console.heads import artifacts_of, head_of, ledger_of
from observability.console.requests import SignedInRequest
from observability.console.steer_forms import BulkForm
from observability.console.steering import desk_of, power_of

VIEWS = (fragments.NARRATIVE, fragments.LOG)
ITEMS = 300
FOLLOWING = 50  # entries that are shown after the one that was asked for


@require_safe
@login_required
@never_cache  # the form that steers many is good for one time
def missions(request: SignedInRequest) -> HttpResponse:
    """The list. An htmx request gets the results alone."""
    filters = listing.Filters.of(request.GET)
    context = {
        "filters": filters, "page": listing.page(request.user, filters), "types": all_types(), "states": State.choices,
        "may_start": may_start(request.user), "may_steer": may_steer(request.user), "bulk": BulkForm(),
    }  # fmt: skip
    htmx: HtmxDetails = request.htmx
    return render(request, "missions/list.html#results" if htmx else "missions/list.html", context)


@require_safe
@login_required
def mission(request: SignedInRequest, uid: uuid.UUID) -> HttpResponse:
    """One mission: `view` narrative or log, `before` a cursor for earlier items; `at` a seq to go to."""
    try:
        found = visible_mission(request.user, uid)
        if place := _place_of(found, request.GET.get("at", "")):
            return redirect(place)
        power = power_of(request.user, found)
        context = _rail_context(found, request.GET.get("view", ""), request.GET.get("before", ""), power)
    except UnknownMission:
        if visible_archive(request.user).filter(uid=uid).exists():
            return redirect("archived", uid)
        return render(request, "missions/missing.html", status=404)
    except stream.BadCursor as error:
        return render(request, "missions/missing.html", {"why": str(error)}, status=400)
    around = {
        "head": head_of(found, seen_by(request.user)), "lines": ledger_of(found), "desk": desk_of(found, power),
        "power": power,
        "branches": branches_of(found), "reason_length": REASON_LENGTH, "artifacts": artifacts_of(found),
        "follows": following.follows(request.user, found), "is_mine": found.brief.started_by_id == request.user.pk,
    }  # fmt: skip
    return render(request, "missions/mission.html", {**context, **around})


def _place_of(found: Mission, seq: str) -> str:
    """The address at which the entry of this seq is shown, somewhere before the end of its page; empty for none."""
    if not (seq.isascii() and seq.isdigit() and len(seq) < 10):
        return ""
    cursor, end = stream.cursor_at(found.pk, int(seq)), stream.cursor_at(found.pk, int(seq) + FOLLOWING)
    if not cursor:
        return ""
    query = urlencode({"view": fragments.LOG, **({"before": end} if end else {})})
    return f"{reverse('mission', args=[found.uid])}?{query}#{stream.Cursor.parse(cursor).dom_id}"


def _rail_context(found: Mission, view: str, before: str, power: str) -> dict[str, Any]:
    view = view if view in VIEWS else fragments.NARRATIVE
    items, more = stream.earlier(found.pk, before, ITEMS)
    scene = fragments.Scene.of(found, power)
    return {
        "mission": found, "view": view, "before": before, "more": more,
        "rows": fragments.rail(items, view, scene=scene),
        "first": str(items[0].cursor) if items else "", "cursor": str(items[-1].cursor) if items else "",
        "live": not before and not found.ended,
    }  # fmt: skip
