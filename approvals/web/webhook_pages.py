"""The pages of webhooks: the list, one with its deliveries, adding, dropping, delivering again. For operators and
administrators; to others they are not there. Each view parses, authorises, calls one verb, renders."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals.models import Delivery, DeliveryState, Webhook
from approvals.outbound import callbacks, spreading, webhooks
from approvals.web.outbound_forms import WebhookForm
from approvals.web.sheet import person
from approvals.web.words import DELIVERIES, Sign
from missions.errors import InvalidInput

SHOWN = 50
ON, OFF = Sign("Active", "check", "ok"), Sign("Off", "pause")
PageView = Callable[..., HttpResponse]


def for_keepers(view: PageView) -> PageView:
    """The view for who may keep webhooks; to others 404."""

    @login_required
    @functools.wraps(view)
    def kept(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not spreading.may_keep(person(request)):
            raise Http404("There are no webhooks for you to see.")
        return view(request, *args, **kwargs)

    return kept


@require_safe
@for_keepers
def webhooks_page(request: HttpRequest) -> HttpResponse:
    """All webhooks, with how their deliveries do."""
    failed, waiting = (Q(deliveries__state=state) for state in (DeliveryState.FAILED, DeliveryState.WAITING))
    counted = Webhook.objects.select_related("owner").annotate(
        failed=Count("deliveries", filter=failed), waiting=Count("deliveries", filter=waiting)
    )
    rows = [(hook, ON if hook.active else OFF, _events(hook)) for hook in counted.order_by("name")]
    return render(request, "outbound/webhooks.html", {"rows": rows, "callbacks": callbacks.given_up(person(request))})


def _events(hook: Webhook) -> str:
    return "all events" if spreading.EVERY in hook.events else ", ".join(hook.events)


@require_http_methods(["GET", "HEAD", "POST"])
@for_keepers
@never_cache  # the answer to a good form holds the secret
def new(request: HttpRequest) -> HttpResponse:
    """The form of a new webhook; a good one is answered with its secret, which is shown only then."""
    form = WebhookForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            hook, secret = webhooks.add(owner=person(request), **form.cleaned_data)
        except InvalidInput as refused:
            form.refuse(refused)
        else:
            return render(request, "outbound/webhook_made.html", {"hook": hook, "secret": secret}, status=201)
    return render(request, "outbound/webhook.html", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@for_keepers
def webhook(request: HttpRequest, webhook_id: int) -> HttpResponse:
    """One webhook: its form and its deliveries, newest first; `before` is the last one of the page before."""
    hook = _found(webhook_id)
    form = WebhookForm(request.POST if request.method == "POST" else None, hook)
    if form.is_bound and form.is_valid():
        try:
            webhooks.change(hook, by=person(request), **form.cleaned_data)
        except InvalidInput as refused:
            form.refuse(refused)
            hook = _found(webhook_id)
        else:
            messages.success(request, f"The webhook “{hook.name}” was changed.")
            return HttpResponseRedirect(reverse("webhook", args=[webhook_id]), status=303)
    shown = {"form": form, "hook": hook, "badge": ON if hook.active else OFF, **_deliveries(request, hook)}
    return render(request, "outbound/webhook.html", shown, status=422 if form.is_bound else 200)


def _deliveries(request: HttpRequest, hook: Webhook) -> dict[str, Any]:
    rows = webhooks.of_channel(hook, person(request))
    last = Delivery.objects.filter(pk=_uuid(request.GET.get("before", "")), webhook=hook).first()
    found = list((webhooks.after(rows, last) if last else rows)[: SHOWN + 1])
    older = found[SHOWN - 1].pk if len(found) > SHOWN else None
    return {"deliveries": [(one, DELIVERIES[one.state]) for one in found[:SHOWN]], "older": older}


def _uuid(text: str) -> uuid.UUID:
    """What is no id is nobody's."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)


@require_POST
@for_keepers
def drop(request: HttpRequest, webhook_id: int) -> HttpResponse:
    """Drop a webhook."""
    hook = _found(webhook_id)
    webhooks.drop(hook)
    messages.success(request, f"The webhook “{hook.name}” was dropped; nothing more is sent to it.")
    return HttpResponseRedirect(reverse("webhooks"), status=303)


@require_POST
@for_keepers
def again(request: HttpRequest, webhook_id: int, delivery_id: uuid.UUID) -> HttpResponse:
    """Deliver once more."""
    hook = _found(webhook_id)
    if not webhooks.of_channel(hook, person(request)).filter(pk=delivery_id).exists():
        raise Http404("There is no such delivery.")
    if webhooks.again(delivery_id):
        messages.success(request, "It is delivered once more, under the same id.")
    else:
        messages.error(request, "It is being sent right now.")
    return HttpResponseRedirect(reverse("webhook", args=[webhook_id]), status=303)


def _found(webhook_id: int) -> Webhook:
    """Raises Http404."""
    hook = Webhook.objects.select_related("owner").filter(pk=webhook_id).first()
    if hook is None:
        raise Http404("There is no such webhook.")
    return hook
