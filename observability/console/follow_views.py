"""The button that follows a mission. The view parses, authorises, calls one verb, leads back to the mission."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from approvals.outbound import following
from missions.errors import UnknownMission
from missions.web.access import visible_mission
from observability.console.requests import SignedInRequest


@require_POST
@login_required
def follow(request: SignedInRequest, uid: uuid.UUID) -> HttpResponse:
    """Follow the mission, or with `verb=unfollow` no more; the same again changes nothing."""
    try:
        mission = visible_mission(request.user, uid)
    except UnknownMission:
        return render(request, "missions/missing.html", status=404)
    if request.POST.get("verb") == "unfollow":
        following.unfollow(request.user, mission)
        messages.success(request, "You do not follow this mission any more.")
    else:
        following.follow(request.user, mission)
        messages.success(request, "You follow this mission, and are told how it ends.")
    return HttpResponseRedirect(reverse("mission", args=[uid]), status=303)
