"""Alarms: something to do at a nominal time, once, on the database clock.

Layers above register handlers by name; mission workers ring what is due. A handler runs inside the transaction that
marks the alarm as rung, so it happens once; a handler that fails leaves the alarm due, and it rings again.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable

from django.db import transaction
from django.db.models import Q

from missions.engine import feed
from missions.models import Alarm
from missions.models.fields import DatabaseNow

logger = logging.getLogger(__name__)
Handler = Callable[[str, dt.datetime], None]
_handlers: dict[str, Handler] = {}


def handler(name: str) -> Callable[[Handler], Handler]:
    """Register the function that rings alarms `NAME:SUBJECT`; it is called with the subject and the nominal time."""

    def register(function: Handler) -> Handler:
        _handlers[name] = function
        return function

    return register


def set_alarm(what: str, at: dt.datetime) -> None:
    """Ring `what` (`HANDLER:SUBJECT`) at a time; the same pair counts once. Joins the caller's transaction."""
    Alarm.objects.bulk_create([Alarm(what=what, nominal_at=at)], ignore_conflicts=True)
    feed.announce_due()


def forget_rung(what: str, before: dt.datetime) -> None:
    """Drop the rung alarms of an often repeated `what` that are older than this. Joins the caller's transaction."""
    Alarm.objects.filter(what=what, nominal_at__lt=before, rung_at__isnull=False).delete()


def ring_due() -> int:
    """Ring all alarms that are due and known here; the number rung. Each has a transaction of its own."""
    rung = 0
    failed: set[int] = set()
    while (done := _ring_one(failed)) is not None:
        rung += done
    return rung


def _ring_one(failed: set[int]) -> int | None:
    """Ring the earliest due alarm: 1 rung, 0 failed, None where nothing is due."""
    known = Q()
    for name in _handlers:
        known |= Q(what__startswith=f"{name}:")
    due = Alarm.objects.filter(known, rung_at=None, nominal_at__lte=DatabaseNow()).exclude(pk__in=failed)
    alarm_id = 0
    try:
        with transaction.atomic():
            alarm = due.select_for_update(skip_locked=True).order_by("nominal_at").first() if _handlers else None
            if alarm is None:
                return None
            alarm_id = alarm.pk
            name, _, subject = alarm.what.partition(":")
            _handlers[name](subject, alarm.nominal_at)
            Alarm.objects.filter(pk=alarm.pk).update(rung_at=DatabaseNow())
    except Exception:
        if not alarm_id:
            raise  # the database itself refused: the caller retries as a whole
        failed.add(alarm_id)
        logger.exception("An alarm failed; it stays due", extra={"action": "alarm_failed", "alarm": alarm_id})
        return 0
    return 1
