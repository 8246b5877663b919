"""Taking deliveries to send them, and writing down what came of it. Owns every change of a delivery's state.

At least once: a delivery is leased in a short transaction, sent outside of any, and settled in another, by whoever has
the lease still. A sender that dies in between loses nothing: the lease runs out and the next one sends it again, under
the same id. Rows are locked with SKIP LOCKED, so that any number of senders share the work.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence

from django.db import transaction
from django.db.models import F

from approvals.models import Delivery, DeliveryState, DeliveryTry
from approvals.outbound import timing
from approvals.outbound.wire import Answer
from missions.engine.clock import database_now
from missions.models.fields import DatabaseNow

LEASE = dt.timedelta(minutes=2)  # longer than the slowest sending of one lot
LOT = 20
DIGEST_MOST = 200  # lines of one message
DUE = (DeliveryState.WAITING, DeliveryState.SENDING)
ERROR_LENGTH = 300


def take() -> list[Delivery]:
    """Lease what is due, the longest waiting first; with each person's digest all that belongs into it.

    Own transaction. What was begun `timing.MOST_TRIES` times and never came to a result is given up here.
    """
    with transaction.atomic():
        due = Delivery.objects.filter(state__in=DUE, next_at__lte=DatabaseNow())
        rows = list(due.select_for_update(skip_locked=True, of=("self",)).order_by("next_at", "pk")[:LOT])
        people = {row.user_id for row in rows if row.together}
        if people:
            more = due.filter(together=True, user__in=people).exclude(pk__in=[row.pk for row in rows])
            rows += more.select_for_update(skip_locked=True, of=("self",)).order_by("next_at", "pk")[:DIGEST_MOST]
        spent = [row.pk for row in rows if row.tries >= timing.MOST_TRIES]
        Delivery.objects.filter(pk__in=spent).update(
            state=DeliveryState.FAILED, lease=None, done_at=DatabaseNow(), error="Its sender was cut off each time."
        )
        lease, taken = uuid.uuid4(), [row.pk for row in rows if row.pk not in set(spent)]
        Delivery.objects.filter(pk__in=taken).update(
            state=DeliveryState.SENDING, lease=lease, next_at=database_now() + LEASE, tries=F("tries") + 1
        )
    found = Delivery.objects.filter(pk__in=taken, lease=lease).order_by("created_at", "pk")
    return list(found.select_related("event", "user", "webhook__owner", "external__decision", "external__opened_by"))


def record(delivery: Delivery, answer: Answer) -> bool:
    """Write down what came of a try; False where the lease is somebody else's by now, whose result counts.

    Own transaction. A failure is tried again after a while, until it is final or was tried often enough.
    """
    given_up = bool(answer.error) and (answer.final or delivery.tries >= timing.MOST_TRIES)
    with transaction.atomic():
        mine = Delivery.objects.filter(pk=delivery.pk, lease=delivery.lease, state=DeliveryState.SENDING)
        if not answer.error:
            changed = mine.update(state=DeliveryState.SENT, lease=None, error="", done_at=DatabaseNow())
        elif given_up:
            changed = mine.update(
                state=DeliveryState.FAILED, lease=None, error=answer.error[:ERROR_LENGTH], done_at=DatabaseNow()
            )
        else:
            changed = mine.update(
                state=DeliveryState.WAITING, lease=None, error=answer.error[:ERROR_LENGTH],
                next_at=database_now() + timing.backoff(delivery.tries),
            )
        DeliveryTry.objects.create(
            delivery=delivery, status=answer.status, error=answer.error[:ERROR_LENGTH], milliseconds=answer.milliseconds
        )
    return bool(changed)


def put_off(deliveries: Sequence[Delivery], until: dt.datetime) -> None:
    """Not now: quiet hours have begun since it was due. Counts as no try."""
    ids = [delivery.pk for delivery in deliveries]
    Delivery.objects.filter(pk__in=ids, state=DeliveryState.SENDING).update(
        state=DeliveryState.WAITING, lease=None, next_at=until, together=True, tries=F("tries") - 1
    )


def drop(delivery: Delivery, why: str) -> None:
    """Nobody is to get it any more."""
    Delivery.objects.filter(pk=delivery.pk, lease=delivery.lease).update(
        state=DeliveryState.DROPPED, lease=None, error=why[:ERROR_LENGTH], done_at=DatabaseNow()
    )


def again(delivery_id: uuid.UUID) -> bool:
    """Deliver once more, from now on, with all its tries; False where it is on its way already. Own transaction."""
    settled = Delivery.objects.filter(pk=delivery_id).exclude(state=DeliveryState.SENDING)
    return bool(settled.update(
        state=DeliveryState.WAITING, lease=None, tries=0, error="", done_at=None, next_at=DatabaseNow()
    ))
