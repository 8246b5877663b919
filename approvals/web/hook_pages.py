"""The pages of hooks: the list, one with its versions and what came, making, trying, another secret. For operators and
administrators; to others they are not there. Each view parses, authorises, calls one verb, renders."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals.inbound import hooks, mapping, trying
from approvals.models import ArrivalOutcome, Hook
from approvals.web.hook_forms import HookForm, NewHookForm
from approvals.web.sheet import person
from approvals.web.webhook_pages import OFF, ON, for_keepers
from approvals.web.words import Sign
from missions.errors import InvalidInput

SHOWN = 50
OUTCOMES = {
    ArrivalOutcome.STARTED: Sign("Started a mission", "check", "ok"),
    ArrivalOutcome.SIGNALLED: Sign("Sent a signal", "check", "ok"),
    ArrivalOutcome.IGNORED: Sign("Ignored", "pause"),
    ArrivalOutcome.REFUSED: Sign("Refused", "alert", "bad"),
}


@require_safe
@for_keepers
def hooks_page(request: HttpRequest) -> HttpResponse:
    """All hooks, with what they do and what came last."""
    rows = []
    for hook in Hook.objects.select_related("owner").order_by("name"):
        said, last = hooks.said_by(hook), hooks.arrivals(hook).first()
        outcome = OUTCOMES[ArrivalOutcome(last.outcome)] if last else None
        rows.append((hook, said, ON if said.active else OFF, last, outcome))
    return render(request, "inbound/hooks.html", {"rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@for_keepers
@never_cache  # the answer to a good form holds the secret
def new(request: HttpRequest) -> HttpResponse:
    """The form of a new hook; a good one is answered with its secret, which is shown only then."""
    form = NewHookForm(request.POST if request.method == "POST" else None)
    if form.is_bound and "try" in request.POST:
        return _tried(request, form, None)
    if form.is_bound and form.is_valid():
        try:
            hook, secret = hooks.make(form.cleaned_data["name"], by=person(request), **form.content())
        except InvalidInput as refused:
            form.refuse(refused)
        else:
            return _made(request, hook, secret)
    return render(request, "inbound/hook.html", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@for_keepers
def hook(request: HttpRequest, name: str) -> HttpResponse:
    """One hook: its form, its versions, and what came, newest first; `before` is the last one of the page before."""
    found = _found(name)
    form = HookForm(request.POST if request.method == "POST" else None, found)
    if form.is_bound and "try" in request.POST:
        return _tried(request, form, found)
    if form.is_bound and form.is_valid():
        try:
            hooks.change(found, by=person(request), **form.content())
        except InvalidInput as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"The hook “{name}” was changed.")
            return HttpResponseRedirect(reverse("hook", args=[name]), status=303)
    return render(request, "inbound/hook.html", _shown(request, form, found), status=422 if form.is_bound else 200)


@require_POST
@for_keepers
@never_cache
def secret(request: HttpRequest, name: str) -> HttpResponse:
    """Another secret, shown only now."""
    found = _found(name)
    return _made(request, found, hooks.renew(found))


def _made(request: HttpRequest, found: Hook, secret: str) -> HttpResponse:
    shown = {"hook": found, "secret": secret, "address": _address(request, found)}
    return render(request, "inbound/hook_made.html", shown, status=201)


def _tried(request: HttpRequest, form: HookForm, found: Hook | None) -> HttpResponse:
    """The form as it was typed, with what an event would do by it."""
    preview = None
    if form.is_valid():
        try:
            preview = trying.of_text(mapping.content(form.content()), form.cleaned_data["sample"], person(request))
        except InvalidInput as refused:
            form.refuse(refused)
    body = json.dumps(preview.deed.body, indent=2, ensure_ascii=False) if preview and preview.deed else ""
    shown = {**_shown(request, form, found), "preview": preview, "body": body}
    return render(request, "inbound/hook.html", shown, status=200 if preview else 422)


def _shown(request: HttpRequest, form: HookForm, found: Hook | None) -> dict[str, Any]:
    if found is None:
        return {"form": form}
    said, before = hooks.said_by(found), request.GET.get("before", "")
    rows = hooks.arrivals(found)
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    arrivals = list(rows[: SHOWN + 1])
    shown = hooks.shown(arrivals[:SHOWN], person(request))
    return {
        "form": form, "hook": found, "badge": ON if said.active else OFF, "address": _address(request, found),
        "arrivals": [(one, OUTCOMES[ArrivalOutcome(one.outcome)]) for one in shown],
        "older": arrivals[SHOWN - 1].pk if len(arrivals) > SHOWN else None,
        "versions": found.versions.select_related("by").order_by("-number")[:SHOWN],
    }  # fmt: skip


def _address(request: HttpRequest, found: Hook) -> str:
    return request.build_absolute_uri(reverse("api-hook", args=[found.name]))


def _found(name: str) -> Hook:
    """Raises Http404."""
    try:
        return hooks.find(name)
    except hooks.UnknownHook as error:
        raise Http404("There is no such hook.") from error
