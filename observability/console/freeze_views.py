"""The page of a freeze: what was found, and, for administrators, the form that thaws it."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from missions.engine import freezing
from missions.errors import NotFrozen
from missions.web.access import may_thaw
from observability.console.requests import SignedInRequest


class ThawForm(forms.Form):
    """Why it may go on."""

    reason = forms.CharField(
        label="Why it may go on", max_length=2000, widget=forms.Textarea(attrs={"class": "input", "rows": 3})
    )
    nothing_was_lost = forms.BooleanField(label="Nothing was lost: this was a planned move", required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def freeze(request: SignedInRequest) -> HttpResponse:
    """Show the freeze; a good POST thaws it and leads to the missions."""
    allowed = may_thaw(request.user)
    form = ThawForm(request.POST if request.method == "POST" and allowed else None)
    if form.is_valid():
        return _thawed(request, form)
    status = 403 if request.method == "POST" and not allowed else 422 if form.is_bound else 200
    context = {"freeze": freezing.current(), "form": form, "may_thaw": allowed}
    return render(request, "missions/freeze.html", context, status=status)


def _thawed(request: SignedInRequest, form: ThawForm) -> HttpResponse:
    lost_nothing = form.cleaned_data["nothing_was_lost"]
    try:
        marked = freezing.thaw(
            form.cleaned_data["reason"], by=request.user.get_username(), nothing_was_lost=lost_nothing
        )
        messages.success(request, f"Thawed. Each effect of {marked} missions is looked up first from now on.")
    except NotFrozen as error:  # somebody was faster
        messages.info(request, str(error))
    return HttpResponseRedirect(reverse("missions"), status=303)
