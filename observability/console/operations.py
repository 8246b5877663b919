"""Pages for those who look after the system: its health and figures, and the archive. Reads only."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from missions.keeping import verifying
from missions.web.access import sees_all, visible_archive
from missions.web.archive_api import SHOWN, journal_of, matching
from missions.web.summaries import summary
from observability import report
from observability.console.requests import SignedInRequest
from observability.console.words import STATES

PAGE = 50


@require_safe
@login_required
def health(request: SignedInRequest) -> HttpResponse:
    """What the watches found, what does not move, and the last days. For those who see all missions."""
    if not sees_all(request.user):
        raise PermissionDenied
    told = {"health": report.health(request.user), "days": report.days(request.user)}
    return render(request, "observability/health.html", told)


@require_safe
@login_required
def archive(request: SignedInRequest) -> HttpResponse:
    """The archived missions, last sealed first; `before` is the last seal of the page before."""
    words, before = request.GET.get("q", "").replace("\x00", "").strip()[:200], request.GET.get("before", "")
    rows = matching(visible_archive(request.user), "", words).order_by("-number")
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(number__lt=int(before))
    found = list(rows[: PAGE + 1])
    shown = [(row, STATES[row.state]) for row in found[:PAGE]]
    older = found[PAGE - 1].number if len(found) > PAGE else None
    return render(request, "missions/archive.html", {"rows": shown, "words": words, "older": older})


@require_safe
@login_required
def archived(request: SignedInRequest, archived_id: uuid.UUID) -> HttpResponse:
    """One archived mission, verified and read from its bundle."""
    row = visible_archive(request.user).filter(uid=archived_id).first()
    if row is None:
        return render(request, "missions/missing.html", status=404)
    lines = [(entry, summary(entry.kind, entry.payload)) for entry in journal_of(row)]
    context = {
        "row": row, "badge": STATES[row.state], "verified": verifying.verify(row), "lines": lines,
        "seal": bytes(row.seal).hex(), "digest": bytes(row.digest).hex(), "more": max(0, row.entries - SHOWN),
    }  # fmt: skip
    return render(request, "missions/archived.html", context)
