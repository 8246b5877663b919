"""The pages that steer one mission: pause, stop, resume, retry, cancel, fork, and replaying it against this code.

A GET shows a form, a POST asks for the control and leads back to the mission. What its state does not allow is a 409
in words, what does not fit a 422 with what was typed.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from missions.control import forks, rehearsing
from missions.engine import controls
from missions.errors import ControlRefused, InvalidInput, UnknownMission
from missions.models import Mission
from missions.web import differing
from missions.web.access import may_steer, visible_mission
from observability.console.requests import SignedInRequest
from observability.console.steer_forms import CancelForm, ForkForm, ReasonForm
from observability.console.steering import CONTROLS, applies

FORBIDDEN, CONFLICT, UNPROCESSABLE = 403, 409, 422
MissionView = Callable[[SignedInRequest, Mission], HttpResponse]


def of_mission(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view of a mission that its reader may see; of another one, the page that says so."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @login_required
    @functools.wraps(view)
    def found(request: SignedInRequest, uid: uuid.UUID, **options: Any) -> HttpResponse:
        try:
            mission = visible_mission(request.user, uid)
        except UnknownMission:
            return render(request, "missions/missing.html", status=404)
        return view(request, mission, **options)

    return found


def for_operators(view: MissionView) -> MissionView:
    """The view for those who may roll back, retry and fork."""

    @functools.wraps(view)
    def allowed(request: SignedInRequest, mission: Mission) -> HttpResponse:
        return view(request, mission) if may_steer(request.user) else not_allowed(request, mission)

    return allowed


def not_allowed(request: SignedInRequest, mission: Mission | None) -> HttpResponse:
    """Who may steer, for somebody who may not."""
    return render(request, "missions/may_not_steer.html", {"mission": mission}, status=FORBIDDEN)


@of_mission
def control(request: SignedInRequest, mission: Mission, verb: str) -> HttpResponse:
    """One control without a point to go to. A POST from the mission's page asks at once."""
    allowed, fits = applies(request.user, mission, verb)
    if not allowed:
        return not_allowed(request, mission)
    kind = CancelForm if verb == "cancel" else ReasonForm
    form = kind(request.POST if request.method == "POST" else None)
    refused, status = "" if fits else f"The mission is {mission.state}: {verb} does not apply.", 200
    if request.method == "POST" and not form.is_valid():
        status = UNPROCESSABLE
    elif request.method == "POST":
        try:
            return asked(request, mission, verb, **form.cleaned_data)
        except ControlRefused as error:
            refused, status = str(error), CONFLICT
    context = {"mission": mission, "control": CONTROLS[verb], "form": form, "refused": refused}
    return render(request, "missions/control.html", context, status=status)


def asked(request: SignedInRequest, mission: Mission, verb: str, nonce: str = "", **facts: Any) -> HttpResponse:
    """Ask for a control and lead back to the mission. Raises ControlRefused.

    Until the mission has taken it, the same control asked for again (a second click) counts once.
    """
    key = f"console:{verb}:{mission.control_done}:{nonce}"
    controls.request(mission.pk, verb, by=request.user.get_username(), key=key, **facts)
    text = f"{CONTROLS[verb].noun} is asked for. The mission takes it as soon as a worker has it."
    messages.success(request, text)
    return HttpResponseRedirect(reverse("mission", args=[mission.uid]), status=303)


@of_mission
@for_operators
def fork(request: SignedInRequest, mission: Mission) -> HttpResponse:
    """A new mission from an earlier point; `at` names the entry."""
    at = request.GET.get("at", "")
    initial = {"at": at if at.isdecimal() else mission.head_seq or 1}
    form = ForkForm(request.POST if request.method == "POST" else None, initial=initial)
    refused, status = "", UNPROCESSABLE if form.is_bound else 200
    if form.is_bound and form.is_valid():
        wanted = form.cleaned_data
        try:
            made = forks.fork(
                mission, wanted["at"], title=wanted["title"], effects=wanted["effects"] == "on", by=request.user,
                via="console",
            )  # fmt: skip
        except (ControlRefused, InvalidInput) as error:
            refused, status = str(error), CONFLICT
        else:
            messages.success(request, f"Forked, with effects {wanted['effects']}.")
            return HttpResponseRedirect(reverse("mission", args=[made.uid]), status=303)
    context = {"mission": mission, "form": form, "refused": refused}
    return render(request, "missions/fork.html", context, status=status)


@of_mission
@for_operators
def check(request: SignedInRequest, mission: Mission) -> HttpResponse:
    """Replay the journal against this server's code, without effects; a GET leads back to the mission."""
    if request.method != "POST":
        return redirect("mission", mission.uid)
    seen = rehearsing.replay_apart(mission)
    context = {"mission": mission, "seen": seen, "differs": differing.rows(seen.differs)}
    return render(request, "missions/replay.html", context)
