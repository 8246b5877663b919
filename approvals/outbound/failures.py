"""How delivering does, for the health page, and throwing away what was told long ago."""

from __future__ import annotations

import datetime as dt

from django.db.models import Exists, OuterRef

from approvals.models import Delivery, DeliveryState, Event, Follower
from missions.engine import listeners
from missions.engine.clock import database_now
from missions.models import Listener, Mission

DAY = dt.timedelta(days=1)
LATE_MINUTES = 15
OPEN = (DeliveryState.WAITING, DeliveryState.SENDING)


def given_up() -> int:
    """Deliveries that were given up in the last day, and not asked for again."""
    return Delivery.objects.filter(state=DeliveryState.FAILED, done_at__gte=database_now() - DAY).count()


def overdue() -> int:
    """Deliveries that should have left a while ago: nobody sends."""
    late = database_now() - dt.timedelta(minutes=LATE_MINUTES)
    return Delivery.objects.filter(state__in=OPEN, next_at__lt=late).count()


def forget(before: dt.datetime) -> int:
    """Remove events that were spread and are over since before; and followers of missions that are gone. How many."""
    open_still = Exists(Delivery.objects.filter(event=OuterRef("pk"), state__in=OPEN))
    gone = Event.objects.filter(~open_still, at__lt=before, spread_at__isnull=False).delete()[0]
    left = Follower.objects.exclude(mission_id__in=Mission.objects.values("pk"))
    subjects = [listeners.of_mission(pk) for pk in left.values_list("mission_id", flat=True)]
    Listener.objects.filter(pk__in=subjects).delete()
    return gone + left.delete()[0]
