"""The page of a decision that a mission made: what it rests on, what rests on it, and marking it as wrong."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from missions.control import resting
from missions.control.resting import AlreadyMarked, NoSuchDecision
from missions.errors import InvalidInput
from missions.models import Mission
from missions.web.access import may_direct, may_steer
from missions.web.decided_api import LARGEST, lineage_for
from observability.console.control_views import of_mission
from observability.console.requests import SignedInRequest
from observability.console.steer_forms import SteerForm, reason
from observability.console.undoing import FATES
from observability.console.words import STATES
from observability.projections import narrate
from observability.sources import from_journal

HOW = {"child": "Started by it", "follower": "Waited for its end", "fork": "Forked from it"}


class WrongForm(SteerForm):
    """Why it was wrong."""

    reason: forms.CharField = reason(required=True)


@of_mission
def decided(request: SignedInRequest, mission: Mission, seq: int) -> HttpResponse:
    """Show the decision; a good POST marks it as wrong."""
    try:
        if request.method != "POST" or not may_direct(request.user, mission):
            return _page(request, mission, seq, WrongForm(), 403 if request.method == "POST" else 200)
        form = WrongForm(request.POST)
        if not form.is_valid():
            return _page(request, mission, seq, form, 422)
        resting.mark(mission, min(seq, LARGEST), **form.cleaned_data, by=request.user.get_username())
        messages.success(request, "Marked as wrong. Nothing is undone by that: see what rests on it.")
    except NoSuchDecision:
        return render(request, "missions/missing.html", status=404)
    except AlreadyMarked as refused:
        messages.info(request, str(refused))
    except InvalidInput as refused:
        form.add_error("reason", refused.errors[0]["message"])
        return _page(request, mission, seq, form, 422)
    return HttpResponseRedirect(request.path, status=303)


def _page(request: SignedInRequest, mission: Mission, seq: int, form: WrongForm, status: int) -> HttpResponse:
    found, hidden = lineage_for(request.user, mission, min(seq, LARGEST))
    told = found.decided
    context: dict[str, Any] = {
        "mission": mission, "found": found, "hidden": hidden, "form": form,
        "proposal": json.dumps(told.get("proposal"), indent=2, ensure_ascii=False),
        "alternatives": [json.dumps(one, ensure_ascii=False) for one in told.get("alternatives", ())],
        "rests_on": narrate(from_journal(found.rests_on)), "resting": [_told(one) for one in found.resting],
        "may_mark": may_direct(request.user, mission), "may_steer": may_steer(request.user),
    }
    return render(request, "missions/decided.html", context, status=status)


def _told(one: resting.Resting) -> dict[str, Any]:
    effects = [{"effect": effect, "fate": FATES[effect.fate]} for effect in one.effects]
    return {"one": one, "how": HOW.get(one.how, ""), "state": STATES[one.mission.state], "effects": effects}
