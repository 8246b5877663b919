"""Webhooks: adding, changing, dropping, and delivering again. Owns their rows; sends nothing itself.

For operators and administrators, who are checked by the caller: a webhook is told of all that its owner may see. Its
URL is judged when it is kept and each time it is sent to.
"""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from approvals.models import Channel, Delivery, Event, EventKind, Webhook, WebhookFormat
from approvals.outbound import audience, events, guard, leasing, signing, spreading
from missions.engine import listeners
from missions.errors import InvalidInput

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
OUTCOMES = {EventKind.COMPLETED, EventKind.FAILED, EventKind.ATTENTION}
FIELDS = ("name", "url", "format", "events", "active")


def add(*, owner: User, resolver: guard.Resolve = guard.resolve, **values: Any) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is told only now. Own transaction. Raises InvalidInput, field by field."""
    given = {"format": WebhookFormat.STANDARD, "events": [spreading.EVERY], "active": True, **values}
    _judge(given, resolver)
    try:
        with transaction.atomic():
            webhook = Webhook.objects.create(owner=owner, salt=secrets.token_hex(16), **given)
            _listen()
    except IntegrityError as error:
        raise InvalidInput("Nothing was kept.", errors=[_fault("name", "There is a webhook of this name.")]) from error
    return webhook, signing.secret(signing.of_webhook(webhook.salt))


def change(
    webhook: Webhook, *, by: User | None = None, resolver: guard.Resolve = guard.resolve, **values: Any
) -> Webhook:
    """Change what is given; the secret stays. Own transaction. Raises InvalidInput, field by field.

    Whoever lets it lead elsewhere keeps it from then on: it is told of what they may see, and of no more.
    """
    _judge(values, resolver)
    if by is not None and values.get("url", webhook.url) != webhook.url:
        values = {**values, "owner": by}
    for name, value in values.items():
        setattr(webhook, name, value)
    webhook.why_off = "" if webhook.active else webhook.why_off
    try:
        with transaction.atomic():
            webhook.save(update_fields=[*values, "why_off"])
            _listen()
    except IntegrityError as error:
        raise InvalidInput("Nothing was kept.", errors=[_fault("name", "There is a webhook of this name.")]) from error
    return webhook


def drop(webhook: Webhook) -> None:
    """Forget it, and all that is on its way to it. Own transaction."""
    with transaction.atomic():
        webhook.delete()
        _listen()


def again(delivery_id: uuid.UUID) -> bool:
    """Deliver once more; False where it is being sent right now. Own transaction, and hands over on its commit."""
    with transaction.atomic():
        done = leasing.again(delivery_id)
        if done:
            event_id = Delivery.objects.values_list("event_id", flat=True).get(pk=delivery_id)
            transaction.on_commit(lambda: events.hand_over(event_id), robust=True)
    return done


def of_channel(webhook: Webhook, reader: User) -> QuerySet[Delivery]:
    """Its deliveries as far as this person may be told of them, newest first, with their events and tries."""
    told = Event.objects.filter(audience.told_to(reader)).values("pk")
    rows = Delivery.objects.filter(channel=Channel.WEBHOOK, webhook=webhook, event__in=told).select_related("event")
    return rows.prefetch_related("log").order_by("-created_at", "-pk")


def after(rows: QuerySet[Delivery], last: Delivery) -> QuerySet[Delivery]:
    """The rows that follow this one, newest first."""
    return rows.filter(Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk))


def _listen() -> None:
    """Listen to the ends of all missions exactly while an active webhook wants them."""
    wanted = (set(one) for one in Webhook.objects.filter(active=True).values_list("events", flat=True))
    listeners.listen(listeners.ALL, any(one & {*OUTCOMES, spreading.EVERY} for one in wanted))


def _fault(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}


def _judge(values: dict[str, Any], resolver: guard.Resolve) -> None:
    """Raises InvalidInput for all that can not be kept."""
    errors = []
    if "name" in values and not NAME.fullmatch(values["name"]):
        errors.append(_fault("name", "Up to 100 small letters, digits, - and _; it begins with a letter or a digit."))
    if "url" in values and (why := refused(values["url"], resolver)):
        errors.append(_fault("url", why))
    if "format" in values and values["format"] not in WebhookFormat.values:
        errors.append(_fault("format", f"One of {', '.join(WebhookFormat.values)}."))
    if "events" in values:
        unknown = sorted(set(values["events"]) - {*EventKind.values, spreading.EVERY})
        if unknown or not values["events"]:
            known = ", ".join([spreading.EVERY, *EventKind.values])
            errors.append(_fault("events", f"At least one of {known}."))
    if errors:
        raise InvalidInput("Nothing was kept.", errors=errors)


def refused(url: str, resolver: guard.Resolve = guard.resolve) -> str:
    """Why a URL can not be sent to; empty where it can."""
    try:
        guard.check(url, resolver)
    except guard.Refused as refusal:
        return str(refusal)
    except OSError:
        return "Its host can not be resolved."
    return ""
