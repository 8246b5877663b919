"""The pages of tools: the list, and one tool with its schema, its limit and its circuit. Complete without scripts."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.middleware import HtmxDetails

from missions.engine import circuits, limits
from missions.errors import InvalidInput, UnknownTool
from missions.models import CircuitChange, CircuitState, Limit, Scope
from missions.web import toolbox
from missions.web.access import may_limit, may_register_servers
from observability.console import server_views
from observability.console.requests import SignedInRequest
from observability.console.words import Badge

CIRCUITS: dict[str, Badge] = {
    CircuitState.CLOSED: Badge("Answers", "check", "ok"),
    CircuitState.OPEN: Badge("Held back", "pause", "warn"),
    CircuitState.HALF_OPEN: Badge("Probing", "question", "info"),
}
CLASSES = {"read": Badge("Reads", "eye"), "write": Badge("Writes", "effect", "info"),
           "irreversible": Badge("Irreversible", "alert", "warn")}  # fmt: skip
SAFETY = {"keyed": "Keyed: repeats count once", "verifiable": "Verifiable: a probe tells",
          "manual": "Manual: a person tells"}  # fmt: skip
CHANGES = 10


class LimitForm(forms.Form):
    """The limit of one tool; all empty lifts it."""

    concurrency = forms.IntegerField(label="Calls at once", required=False, min_value=0, help_text="Over all workers.")
    rate_count = forms.IntegerField(label="Calls in a time", required=False, min_value=1)
    rate_seconds = forms.FloatField(label="That time, in seconds", required=False)
    escalate_after_seconds = forms.FloatField(
        label="Tell people of a wait longer than, in seconds", required=False,
        help_text="An observation in the mission’s narrative.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "label_suffix": ""})
        for name, field in self.fields.items():
            field.widget = forms.TextInput(attrs={"class": "input input--short", "inputmode": "decimal",
                                                  "autocomplete": "off"})  # fmt: skip
            if self.is_bound and name in self.errors:
                field.widget.attrs |= {"aria-invalid": "true"}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be limited any more."""
        return all(self.cleaned_data.get(name) is None for name in limits.FIELDS)


@require_safe
@login_required
def tools(request: SignedInRequest) -> HttpResponse:
    """All tools. An htmx request gets the results alone."""
    rows = [_row(tool) for tool in toolbox.tools()]
    htmx: HtmxDetails = request.htmx
    if htmx:
        return render(request, "tools/list.html#results", {"rows": rows})
    context = {"rows": rows, "servers": server_views.rows(), "may_register": may_register_servers(request.user)}
    return render(request, "tools/list.html", context)


@require_safe
@login_required
def tool(request: SignedInRequest, name: str) -> HttpResponse:
    """One tool."""
    return _page(request, name)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def limit(request: SignedInRequest, name: str) -> HttpResponse:
    """Set or lift the limit of a tool; a GET, as by a reload, leads back."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("tool", args=[name]))
    if not may_limit(request.user):
        return _page(request, name, status=403)
    form = LimitForm(request.POST)
    return _set(request, name, form) if form.is_valid() else _page(request, name, form=form, status=422)


def _set(request: SignedInRequest, name: str, form: LimitForm) -> HttpResponse:
    try:
        known = toolbox.tool(name).name
        own = Limit.objects.filter(scope=Scope.TOOL, name=known).first()
        if not form.is_empty:
            limits.put(Scope.TOOL, known, by=request.user.get_username(), **form.cleaned_data)
        elif own is not None:
            limits.drop(own.pk)
    except UnknownTool:
        return _page(request, name)
    except InvalidInput as refused:
        for error in refused.errors:
            form.add_error(error["field"] if error["field"] in form.fields else None, error["message"])
        return _page(request, name, form=form, status=422)
    messages.success(request, "The limit is lifted." if form.is_empty else "The limit is set.")
    return HttpResponseRedirect(reverse("tool", args=[name]), status=303)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def circuit(request: SignedInRequest, name: str) -> HttpResponse:
    """Hold a tool's calls back (`state` open), or let them through (`closed`)."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("tool", args=[name]))
    if not may_limit(request.user):
        return _page(request, name, status=403)
    try:
        known = toolbox.tool(name).name
    except UnknownTool:
        return _page(request, name)
    opens = request.POST.get("state") == "open"
    act = circuits.open_by_hand if opens else circuits.close_by_hand
    act(known, by=request.user.get_username(), reason=request.POST.get("reason", "").replace("\x00", "")[:500])
    messages.success(request, "Calls of this tool are held back." if opens else "Calls of this tool go through.")
    return HttpResponseRedirect(reverse("tool", args=[name]), status=303)


def _page(
    request: SignedInRequest, name: str, *, form: LimitForm | None = None, status: int = 200
) -> HttpResponse:
    try:
        found = toolbox.tool(name)
    except UnknownTool:
        return render(request, "tools/missing.html", {"name": name}, status=404)
    own = next((row for row in found.limits if row.name == found.name), None)
    initial = {field: getattr(own, field) for field in limits.FIELDS} if own else {}
    context = {
        **_row(found), "form": form or LimitForm(initial=initial), "own": own, "may_limit": may_limit(request.user),
        "told": limits.told(found.limits), "schema": json.dumps(found.args_schema, indent=2, ensure_ascii=False),
        "changes": CircuitChange.objects.filter(tool=found.name).order_by("-pk")[:CHANGES],
    }
    return render(request, "tools/tool.html", context, status=status)


def _row(found: toolbox.Tool) -> dict[str, Any]:
    return {
        "tool": found, "badge": CIRCUITS[found.circuit.state], "effect": CLASSES[found.effect],
        "safety": SAFETY[found.retry_safety] if found.effect != "read" else "Repeats change nothing",
        "open": found.circuit.state != CircuitState.CLOSED,
    }
