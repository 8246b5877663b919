"""The page of stop buttons: what is stopped, the form that stops, and lifting. Complete without scripts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from missions.engine import stops
from missions.engine.registry import all_types
from missions.errors import AlreadyStopped, InvalidInput, UnknownStop
from missions.models import Stop, StopScope
from missions.tools import learning
from missions.web import toolbox
from missions.web.access import may_lift, may_stop
from observability.console.requests import SignedInRequest

LIFTED_SHOWN = 20


class StopForm(forms.Form):
    """What is to be stopped, and why."""

    scope = forms.ChoiceField(label="What", choices=StopScope, initial=StopScope.TOOL)
    name = forms.CharField(
        label="Its name", required=False, max_length=stops.NAME_LENGTH,
        help_text="Of the tool, agent or mission type, as it is written. None for everything.",
    )
    reason = forms.CharField(label="Why", max_length=stops.REASON_LENGTH, widget=forms.Textarea)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "label_suffix": ""})
        self.fields["name"].widget.attrs |= {"list": "stop-names", "autocomplete": "off", "spellcheck": "false"}
        self.fields["reason"].widget.attrs |= {"rows": 2}
        for name, field in self.fields.items():
            field.widget.attrs |= {"class": "input"}
            if self.is_bound and name in self.errors:
                field.widget.attrs |= {"aria-invalid": "true"}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def stops_page(request: SignedInRequest) -> HttpResponse:
    """Show what is stopped; a good POST stops something."""
    if request.method != "POST":
        asked = {name: request.GET[name] for name in ("scope", "name") if name in request.GET}
        return _page(request, StopForm(initial=asked))
    if not may_stop(request.user):
        return _page(request, StopForm(), status=403)
    form = StopForm(request.POST)
    if not form.is_valid() or not _pressed(request, form):
        return _page(request, form, status=422)
    return HttpResponseRedirect(reverse("stops"), status=303)


def _pressed(request: SignedInRequest, form: StopForm) -> bool:
    try:
        stop = stops.press(**form.cleaned_data, by=request.user.get_username())
    except AlreadyStopped as refused:
        messages.info(request, str(refused))
    except InvalidInput as refused:
        for error in refused.errors:
            form.add_error(error["field"], error["message"])
        return False
    else:
        messages.success(request, f"{stop.told} Calls under way come to their end; nothing new starts.")
        learning.keep_up()
        if not toolbox.is_known(stop):
            messages.warning(request, f"No {stop.get_scope_display().lower()} {stop.name} is known. Is it misspelt?")
    return True


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def lift(request: SignedInRequest, stop_id: int) -> HttpResponse:
    """Let what was stopped go on; a GET, as by a reload, leads back."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("stops"))
    if not may_lift(request.user):
        return _page(request, StopForm(), status=403)
    try:
        stop = stops.lift(stop_id, reason=request.POST.get("reason", ""), by=request.user.get_username())
    except UnknownStop as refused:
        messages.info(request, str(refused))
    except InvalidInput as refused:
        messages.error(request, refused.errors[0]["message"])
    else:
        messages.success(request, f"Lifted: {stop.get_scope_display().lower()} {stop.name}".rstrip() + ".")
    return HttpResponseRedirect(reverse("stops"), status=303)


def _page(request: SignedInRequest, form: StopForm, status: int = 200) -> HttpResponse:
    lifted = Stop.objects.filter(lifted_at__isnull=False).order_by("-lifted_at", "-pk")[:LIFTED_SHOWN]
    names = sorted({*(tool.name for tool in toolbox.tools()), *(kind.name for kind in all_types())})
    context = {
        "form": form, "in_force": stops.in_force(), "lifted": lifted, "names": names,
        "may_stop": may_stop(request.user), "may_lift": may_lift(request.user),
    }
    return render(request, "stops/stops.html", context, status=status)
