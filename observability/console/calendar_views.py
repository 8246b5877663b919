"""The pages of business calendars: the list, for everybody, and the form, for policy admins and operators."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals import hours
from approvals.hours import CalendarExists, CalendarRefused, UnknownCalendar
from approvals.models import Calendar
from observability.console.calendar_form import LABELS, CalendarForm
from observability.console.requests import SignedInRequest


@require_safe
@login_required
def calendars_page(request: SignedInRequest) -> HttpResponse:
    """The list."""
    rows = [
        {"calendar": one, "week": _week(one), "holidays": one.holidays.all()}
        for one in Calendar.objects.prefetch_related("holidays").order_by("name")
    ]
    return render(request, "calendars/list.html", {"rows": rows, "may_keep": hours.may_keep(request.user)})


def _week(calendar: Calendar) -> list[str]:
    """The hours in words, a line for each day with some."""
    days = ((LABELS[day], calendar.hours.get(day) or []) for day in LABELS)
    return [f"{name[:3]} {', '.join('–'.join(span) for span in spans)}" for name, spans in days if spans]


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: SignedInRequest) -> HttpResponse:
    """The form of a new calendar."""
    if not hours.may_keep(request.user):
        return _not_allowed(request)
    form = CalendarForm(request.POST if request.method == "POST" else None)
    if _kept(form, lambda: hours.make(form.cleaned_data["name"], **form.terms())):
        return _done(request, f"The calendar “{form.cleaned_data['name']}” was made.")
    return render(request, "calendars/form.html", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def edit(request: SignedInRequest, calendar: str) -> HttpResponse:
    """The form of a calendar."""
    if not hours.may_keep(request.user):
        return _not_allowed(request)
    try:
        found = hours.get(calendar)
    except UnknownCalendar as refused:
        return render(request, "missions/missing.html", {"why": str(refused)}, status=404)
    form = CalendarForm(request.POST if request.method == "POST" else None, calendar=found)
    if _kept(form, lambda: hours.change(calendar, **form.terms())):
        return _done(request, f"The calendar “{calendar}” was changed. Times that were set already stay.")
    return render(request, "calendars/form.html", {"form": form}, status=422 if form.is_bound else 200)


@require_POST
@login_required
def delete(request: SignedInRequest, calendar: str) -> HttpResponse:
    """Let a calendar go."""
    if not hours.may_keep(request.user):
        return _not_allowed(request)
    try:
        hours.remove(calendar)
    except UnknownCalendar as refused:
        return render(request, "missions/missing.html", {"why": str(refused)}, status=404)
    return _done(request, f"The calendar “{calendar}” was deleted.")


def _kept(form: CalendarForm, keep: Callable[[], Calendar]) -> bool:
    """Whether the form was sent and its calendar kept; the form holds the errors where it was not."""
    if not form.is_bound or not form.is_valid():
        return False
    try:
        keep()
    except CalendarRefused as refused:
        form.add_refusals(refused)
    except (CalendarExists, UnknownCalendar) as refused:
        form.add_error(None, str(refused))
    return not form.errors


def _done(request: SignedInRequest, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(reverse("calendars"), status=303)


def _not_allowed(request: SignedInRequest) -> HttpResponse:
    return render(request, "calendars/may_not.html", status=403)
