"""The page of one's delegations: what was given and received, the form to give, the buttons to revoke."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from approvals import delegations
from approvals.delegations import DelegationRefused, UnknownDelegation
from approvals.models import Delegation
from missions.engine.clock import database_now
from observability.console.delegation_form import DelegationForm
from observability.console.requests import SignedInRequest
from observability.console.words import Badge

SHOWN = 100
IN_FORCE, AHEAD = Badge("In force", "check", "ok"), Badge("Ahead", "timer", "")
OVER, REVOKED = Badge("Over", "clock", ""), Badge("Revoked", "ban", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One delegation in the list."""

    delegation: Delegation
    badge: Badge
    is_mine: bool  # given by whoever looks
    may_revoke: bool


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def delegations_page(request: SignedInRequest) -> HttpResponse:
    """The list and the form; a good POST leads back here, a bad one shows the form again with 422."""
    form = DelegationForm(request.user, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = delegations.give(request.user, **form.terms())
        except DelegationRefused as refused:
            form.add_refusals(refused)
        else:
            messages.success(request, f"{made.receiver} votes in your place.")
            return HttpResponseRedirect(reverse("delegations"), status=303)
    context = {"rows": _rows(request), "form": form}
    return render(request, "delegations/list.html", context, status=422 if form.is_bound else 200)


@require_POST
@login_required
def revoke(request: SignedInRequest, delegation_id: uuid.UUID) -> HttpResponse:
    """Take one back."""
    try:
        found = delegations.revoke(delegation_id, request.user)
    except UnknownDelegation as refused:
        return render(request, "missions/missing.html", {"why": str(refused)}, status=404)
    messages.success(request, f"{found.receiver} no longer votes in {found.giver}'s place.")
    return HttpResponseRedirect(reverse("delegations"), status=303)


def _rows(request: SignedInRequest) -> list[Row]:
    now, found = database_now(), []
    for one in delegations.of(request.user)[:SHOWN]:
        mine = one.giver_id == request.user.pk
        badge = REVOKED if one.revoked_at else OVER if one.ends_at <= now else IN_FORCE
        badge = AHEAD if badge is IN_FORCE and one.starts_at > now else badge
        found.append(Row(delegation=one, badge=badge, is_mine=mine, may_revoke=mine and badge in (IN_FORCE, AHEAD)))
    return found
