"""Working out who is told of an event: its deliveries, one a receiver.

Each event is spread in a transaction of its own, under its row lock, so that it is spread once however many do it; the
rows' unique constraints say so too. Sends nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from approvals.models import Channel, Delivery, Event, EventKind, External, Webhook
from approvals.outbound import audience, choices
from missions.engine.clock import database_now
from missions.models.fields import DatabaseNow

logger = logging.getLogger(__name__)
MOST = 1000  # events a run
EVERY = "*"  # all kinds of events, of a webhook
OPERATORS = "operators"


def spread_all() -> int:
    """Write the deliveries of all events that have none yet; how many events."""
    done = 0
    failed: list[uuid.UUID] = []
    while done < MOST and _spread_next(failed):
        done += 1
    return done


def _spread_next(failed: list[uuid.UUID]) -> bool:
    """Spread the oldest event that nobody else is spreading; False where there is none."""
    event: Event | None = None
    try:
        with transaction.atomic():
            waiting = Event.objects.filter(spread_at=None).exclude(pk__in=failed)
            event = waiting.select_for_update(skip_locked=True).order_by("at", "pk").first()
            if event is None:
                return False
            Delivery.objects.bulk_create(_deliveries(event, database_now()), ignore_conflicts=True)
            Event.objects.filter(pk=event.pk).update(spread_at=DatabaseNow())
    except Exception:
        if event is None:
            raise  # the database itself refused
        failed.append(event.pk)  # it stays, and is tried again by the next run; the others go on
        logger.exception("An event was not spread", extra={"action": "outbound_not_spread", "event": str(event.pk)})
    return True


def _deliveries(event: Event, now: dt.datetime) -> Iterator[Delivery]:
    yield from _emails(event, now)
    for webhook in _webhooks(event):
        yield Delivery(event=event, channel=Channel.WEBHOOK, webhook=webhook, next_at=now)
    if event.kind == EventKind.SETTLED:
        for external in External.objects.filter(decision=event.decision_id).exclude(callback_url=""):
            yield Delivery(event=event, channel=Channel.CALLBACK, external=external, next_at=now)


def _emails(event: Event, now: dt.datetime) -> Iterator[Delivery]:
    if settings.EMAIL is None:
        return
    for user in audience.people(event):
        due = choices.due(choices.of(user), event.kind, now) if user.email else None
        if due is not None:
            yield Delivery(
                event=event, channel=Channel.EMAIL, user=user, next_at=due.at, together=due.together
            )


def _webhooks(event: Event) -> Iterator[Webhook]:
    """The active webhooks that want this kind of event, while who keeps them still may, and may be told of this one."""
    wanted = Q(events__contains=[event.kind]) | Q(events__contains=[EVERY])
    for webhook in Webhook.objects.filter(wanted, active=True).select_related("owner").order_by("pk"):
        if may_keep(webhook.owner) and audience.may_be_told(webhook.owner, event):
            yield webhook


def may_keep(user: User) -> bool:
    """Whether a person may have webhooks, which are told of all that they may see: operators and administrators."""
    return user.is_active and (user.is_superuser or user.groups.filter(name=OPERATORS).exists())
