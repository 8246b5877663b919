"""The page on which a person chooses what they are told, and when. A GET changes nothing; the verb judges."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from approvals.models import NotificationChoice
from approvals.outbound import choices
from approvals.web.outbound_forms import TimesForm, chosen, matrix
from approvals.web.sheet import person
from missions.errors import InvalidInput

FIELDS = ("time_zone", "digest_every", "digest_at", "quiet_from", "quiet_until")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def notifications(request: HttpRequest) -> HttpResponse:
    """The table of events and ways, with times; a good POST leads back, a bad one shows it again with 422."""
    choice = choices.of(person(request))
    if request.method != "POST":
        form = TimesForm(None, {name: getattr(choice, name) for name in FIELDS})
        return _page(request, form, choice)
    form = TimesForm(request.POST, {})
    if form.is_valid():
        try:
            choices.keep(person(request), events={**choice.events, **chosen(request.POST)}, **form.cleaned_data)
        except InvalidInput as refused:
            form.refuse(refused)
        else:
            messages.success(request, "Your choices are kept.")
            return HttpResponseRedirect(reverse("notifications"), status=303)
    return _page(request, form, choice)


def _page(request: HttpRequest, form: TimesForm, choice: NotificationChoice) -> HttpResponse:
    shown = {
        "form": form, "rows": matrix(choice, request.POST if form.is_bound else None), "ways": choices.When.choices,
        "address": person(request).email, "has_email": settings.EMAIL is not None,
    }
    return render(request, "outbound/notifications.html", shown, status=422 if form.is_bound else 200)
