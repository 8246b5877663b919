"""The pages of schedules: the list, the form, and what can be done with one. Each view parses, authorises, calls one
verb, renders."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from missions.engine import cron, schedules
from missions.errors import InvalidInput, ScheduleExists, StandfastError, UnknownSchedule
from missions.models import Mission, Schedule
from missions.web.access import may_schedule, visible_missions, visible_schedule, visible_schedules
from observability.console.requests import SignedInRequest
from observability.console.schedule_form import ScheduleForm
from observability.console.words import Badge

NEXT_SHOWN = 3
ON, OFF = Badge("Enabled", "check", "ok"), Badge("Disabled", "pause", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One schedule in the list."""

    schedule: Schedule
    badge: Badge
    when: str
    next: list[dt.datetime]
    last: Mission | None
    once: str = field(default_factory=lambda: uuid.uuid4().hex)  # a double click runs it once


@require_safe
@login_required
def schedules_page(request: SignedInRequest) -> HttpResponse:
    """The list. An htmx request gets the table alone."""
    if not may_schedule(request.user):
        return _not_allowed(request)
    return _list(request)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: SignedInRequest) -> HttpResponse:
    """The form of a new schedule; a good POST leads to the list, a bad one shows the form again with 422."""
    if not may_schedule(request.user):
        return _not_allowed(request)
    form = ScheduleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and _kept(form, lambda: schedules.create(**form.fields_of(), run_as=request.user)):
        return _done(request, f"The schedule “{form.name_given}” was made.")
    return render(request, "schedules/form.html", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def edit(request: SignedInRequest, name: str) -> HttpResponse:
    """The form of a schedule."""
    if not may_schedule(request.user):
        return _not_allowed(request)
    try:
        schedule = visible_schedule(request.user, name)
    except UnknownSchedule as error:
        return render(request, "missions/missing.html", {"why": str(error)}, status=404)
    form = ScheduleForm(request.POST if request.method == "POST" else None, schedule=schedule)
    if request.method == "POST" and _kept(form, lambda: schedules.change(**form.fields_of(), run_as=request.user)):
        return _done(request, f"The schedule “{name}” was changed.")
    shown = {"form": form, "row": _row(schedule, _missions(request, [schedule]))}
    return render(request, "schedules/form.html", shown, status=422 if form.is_bound else 200)


@require_POST
@login_required
def act(request: SignedInRequest, name: str) -> HttpResponse:
    """Enable, disable, run or delete a schedule. htmx gets the table, others go to the list."""
    if not may_schedule(request.user):
        return _not_allowed(request)
    try:
        said = _acted(request, name, request.POST.get("verb", ""))
    except StandfastError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return _list(request) if request.htmx else HttpResponseRedirect(reverse("schedules"), status=303)


def _acted(request: SignedInRequest, name: str, verb: str) -> str:
    visible_schedule(request.user, name)
    match verb:
        case "enable" | "disable":
            schedules.change(name, enabled=verb == "enable", run_as=request.user)
            return f"The schedule “{name}” was {verb}d."
        case "delete":
            schedules.delete(name)
            return f"The schedule “{name}” was deleted; the missions that it started stay."
        case "run":
            key = f"{request.user.pk}:{request.POST.get('once', '')[:64]}"
            mission, _ = schedules.run_now(name, started_by=request.user, key=key)
            return f"“{name}” started a mission: {mission.brief.title}."
    raise StandfastError("There is nothing of this name to do.")


def _kept(form: ScheduleForm, keep: Callable[[], Any]) -> bool:
    """Whether the form's schedule was kept; the form holds the errors where it was not."""
    if not form.is_valid():
        return False
    try:
        keep()
    except InvalidInput as refused:
        form.add_refusals(refused)
    except (ScheduleExists, UnknownSchedule) as refused:
        form.refuse("name", str(refused))
    return not form.errors


def _done(request: SignedInRequest, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(reverse("schedules"), status=303)


def _not_allowed(request: SignedInRequest) -> HttpResponse:
    return render(request, "schedules/may_not.html", status=403)


def _list(request: SignedInRequest) -> HttpResponse:
    found = list(visible_schedules(request.user).select_related("run_as").order_by("name"))
    known = _missions(request, found)
    context = {"rows": [_row(one, known) for one in found]}
    return render(request, "schedules/list.html#results" if request.htmx else "schedules/list.html", context)


def _missions(request: SignedInRequest, found: list[Schedule]) -> dict[int, Mission]:
    """The missions that these schedules started last, as far as the reader may see them."""
    ids = [one.last_mission for one in found if one.last_mission]
    return {mission.pk: mission for mission in visible_missions(request.user).filter(pk__in=ids)}


def _row(schedule: Schedule, known: dict[int, Mission]) -> Row:
    return Row(
        schedule=schedule, badge=ON if schedule.enabled else OFF, when=cron.words(schedule.cron),
        next=schedules.next_times(schedule, NEXT_SHOWN), last=known.get(schedule.last_mission or 0),
    )  # fmt: skip
