"""The page of one form of a tool: how its server offers it, and whether calls go through. Complete without scripts."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from approvals import tool_changes
from approvals.models import Decision
from missions.errors import UnknownForm
from missions.models import FormState, ToolForm
from missions.web import tool_servers
from missions.web.access import may_accept_tools
from observability.console.requests import SignedInRequest
from observability.console.words import Badge

FORMS: dict[str, Badge] = {
    FormState.ACCEPTED: Badge("Accepted", "check", "ok"),
    FormState.WAITING: Badge("Waits for people", "people", "human"),
    FormState.REFUSED: Badge("Kept blocked", "ban", "bad"),
    FormState.REPLACED: Badge("Replaced", "handover"),
}
SERVERS: dict[str, Badge] = {
    "reached": Badge("Answers", "check", "ok"), "unreached": Badge("Not reached", "alert", "warn"),
    "new": Badge("Not asked yet", "clock"), "gone": Badge("Taken away", "ban"),
}  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """The servers, for the page of tools."""
    return [
        {"server": one, "badge": SERVERS[one.state], "blocked": [(form, FORMS[form.state]) for form in one.blocked]}
        for one in tool_servers.servers()
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def form(request: SignedInRequest, form_id: int) -> HttpResponse:
    """One form; a POST accepts it or keeps it blocked."""
    try:
        row = tool_servers.form(form_id)
        if request.method != "POST":
            return _page(request, row)
        if not may_accept_tools(request.user):
            return _page(request, row, status=403)
        verdict = request.POST.get("verdict", "")
        if verdict not in ("accept", "refuse"):
            return _page(request, row, status=422)
        reason = request.POST.get("reason", "")
        tool_servers.decide(row.pk, verdict, by=request.user.get_username(), reason=reason)
    except UnknownForm as unknown:
        return render(request, "tools/form_missing.html", {"why": str(unknown)}, status=404)
    accepted = verdict == "accept"
    messages.success(request, "Calls go through as it is now." if accepted else "The tool stays blocked.")
    return HttpResponseRedirect(reverse("tool-form", args=[row.pk]), status=303)


def _page(request: SignedInRequest, row: ToolForm, status: int = 200) -> HttpResponse:
    asked = Decision.objects.visible_to(request.user).filter(pk=tool_changes.decision_id(row.pk, row.asked)).first()
    context = {
        "form": row, "badge": FORMS[row.state], "changes": tool_servers.differences(row), "decision": asked,
        "may_accept": may_accept_tools(request.user), "missions_waiting": row.waits.count(), "wrong": status == 422,
    }
    return render(request, "tools/form.html", context, status=status)
