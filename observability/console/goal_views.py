"""The page of a mission's goal: how it came to be what it is, and the form that amends it. Complete without scripts."""

from __future__ import annotations

import hashlib

from django import forms
from django.http import HttpResponse
from django.shortcuts import render

from missions.agents import goals
from missions.engine.controls import VERBS
from missions.errors import ControlRefused
from missions.models import Mission
from missions.web.access import may_control
from observability.console.control_views import CONFLICT, UNPROCESSABLE, asked, not_allowed, of_mission
from observability.console.requests import SignedInRequest
from observability.console.steer_forms import SteerForm, reason


class GoalForm(SteerForm):
    """Another goal, and why."""

    goal = forms.CharField(
        label="Goal", max_length=goals.CHARACTERS, widget=forms.Textarea(attrs={"rows": 6}),
        help_text="All of it: it takes the place of the one before.", error_messages={"required": "Say what it is."},
    )
    reason = reason(required=True)


@of_mission
def goal(request: SignedInRequest, mission: Mission) -> HttpResponse:
    """Show the goal with its versions; a good POST asks for another one."""
    may, status, refused = may_control(request.user, mission, goals.VERB), 200, ""
    if request.method == "POST" and not may:
        return not_allowed(request, mission)
    versions = goals.current(mission.pk)
    now = versions[-1].text if versions else goals.original(mission)
    form = GoalForm(request.POST if request.method == "POST" else None, initial={"goal": now})
    if form.is_bound and not form.is_valid():
        status = UNPROCESSABLE
    elif form.is_bound:
        wanted = form.cleaned_data
        nonce = hashlib.sha256(wanted["goal"].encode()).hexdigest()[:16]  # another goal is another request
        try:
            return asked(request, mission, goals.VERB, nonce, **wanted, by_id=request.user.pk)
        except ControlRefused as error:
            refused, status = str(error), CONFLICT
    context = {
        "mission": mission, "form": form, "may": may, "fits": mission.state in VERBS[goals.VERB], "refused": refused,
        "versions": list(reversed(versions)), "original": goals.original(mission), "tool": goals.TOOL, "now": now,
    }
    return render(request, "missions/goal.html", context, status=status)
