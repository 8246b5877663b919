"""The pages that start a mission: choose a type, fill in its input."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from missions.agents import identities
from missions.engine import starting
from missions.engine.registry import MissionType, all_types, get_type
from missions.errors import InvalidInput, KeyReused, PayloadTooLarge, UnknownType
from missions.models import Mission
from missions.web.access import may_start
from observability.console.forms import StartForm
from observability.console.requests import SignedInRequest

AGENT = "agent"  # the mission type, and its field


@require_safe
@login_required
def choose(request: SignedInRequest) -> HttpResponse:
    """The types that can be started here."""
    if not may_start(request.user):
        return render(request, "missions/may_not_start.html", status=403)
    return render(request, "missions/choose.html", {"types": all_types()})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def start(request: SignedInRequest, type: str) -> HttpResponse:
    """The form of a type; a good POST leads to the mission, a bad one shows the form again with 422."""
    if not may_start(request.user):
        return render(request, "missions/may_not_start.html", status=403)
    try:
        kind = get_type(type)
    except UnknownType as error:
        return render(request, "missions/missing.html", {"why": str(error)}, status=404)
    picks = {AGENT: identities.in_force()} if kind.name == AGENT else {}
    form = StartForm(kind.input_schema, kind.check_input, request.POST if request.method == "POST" else None, picks)
    if request.method == "POST":
        begun = _started(request, kind, form)
        if begun is not None:
            return HttpResponseRedirect(reverse("mission", args=[begun.uid]), status=303)
    return render(request, "missions/start.html", {"kind": kind, "form": form}, status=422 if form.is_bound else 200)


def _started(request: SignedInRequest, kind: MissionType, form: StartForm) -> Mission | None:
    """The mission that this form started, now or at an earlier submit; None where the form holds errors."""
    if not form.is_valid():
        return None
    try:
        mission, _ = starting.start(
            kind.name, form.mission_input(), title=form.title, key=f"console:{form.once}", started_by=request.user,
            via="console", priority=form.priority, deadline_at=form.deadline_at,
        )  # fmt: skip
    except InvalidInput as refused:
        form.add_refusals(refused)
    except PayloadTooLarge as refused:
        form.add_error(None, str(refused))
    except KeyReused as reused:
        form.add_error(None, "This form had already started a mission with other values.")
        form.earlier = str(reused.facts.get("mission", ""))
        form.renew()
    else:
        return mission
    return None
