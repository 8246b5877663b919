"""Throwing away what nobody needs: rows that tell of nothing but their own past. Never anything of a mission.

Sweepers are named by dotted path and return how many rows went; a new one is one more line. One that fails is logged
and does not keep the others from running.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable

from django.contrib.sessions.models import Session
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import Task

from approvals.inbound import hooks
from approvals.outbound import failures
from missions.engine import resources
from missions.engine.clock import database_now
from missions.models import ENDED, Alarm, ApiToken, Mission, Permit, Worker
from missions.storage import collect
from observability.checks import record

logger = logging.getLogger(__name__)
SWEEPERS = (
    "observability.cleaning.dead_workers",
    "observability.cleaning.rung_alarms",
    "observability.cleaning.left_permits",
    "observability.cleaning.old_results",
    "observability.cleaning.old_sessions",
    "observability.cleaning.old_tokens",
    "observability.cleaning.unneeded_content",
    "observability.cleaning.old_events",
    "observability.cleaning.old_arrivals",
    "observability.cleaning.left_waits",
)
WEEK, MONTH, QUARTER = dt.timedelta(days=7), dt.timedelta(days=30), dt.timedelta(days=90)


def clean() -> str:
    """Run every sweeper; the finding."""
    counts = {path.rpartition(".")[2]: _swept(path) for path in SWEEPERS}
    failed = [name for name, count in counts.items() if count is None]
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count) or "nothing"
    detail = f"Removed: {told}." + (f" Failed: {', '.join(failed)}; see the log." if failed else "")
    record("cleaning", not failed, detail)
    return detail


def _swept(path: str) -> int | None:
    """How many rows went; None where the sweeper failed."""
    try:
        sweeper: Callable[[], int] = import_string(path)
        return int(sweeper())
    except Exception:  # a boundary: recorded here, and in the check
        logger.exception("A sweeper failed", extra={"action": "cleaning_failed", "sweeper": path})
        return None


def unneeded_content() -> int:
    """Blobs and payloads that no entry names, and heartbeats of calls that have long ended."""
    gone = collect()
    return gone.blobs + gone.payloads + gone.progress


def old_events() -> int:
    """Events told a quarter ago with their deliveries, and followers of missions that have left."""
    return failures.forget(database_now() - QUARTER)


def old_arrivals() -> int:
    """Events that came to hooks and for a quarter not again."""
    return hooks.forget(database_now() - QUARTER)


def left_waits() -> int:
    """Waits for resources of missions that have ended or left."""
    return resources.forget()


def dead_workers() -> int:
    """Workers dead for a week; those that a mission still names as owner stay as evidence."""
    owned = Exists(Mission.objects.filter(owner=OuterRef("pk")))
    return Worker.objects.filter(~owned, dead_at__lt=database_now() - WEEK).delete()[0]


def rung_alarms() -> int:
    """Alarms that rang a week ago. Their time was unique so that they ring once; nobody sets them for then again."""
    return Alarm.objects.filter(rung_at__lt=database_now() - WEEK).delete()[0]


def left_permits() -> int:
    """Permits of missions that have ended or left: void, but nobody looks while nobody else waits."""
    going_on = ~Q(state__in=ENDED) | Q(control_seq__gt=F("control_done"))
    needed = Mission.objects.filter(going_on, pk=OuterRef("mission_id"))
    return Permit.objects.filter(~Exists(needed)).delete()[0]


def old_results() -> int:
    """Results of scheduled jobs, failures included, a month old; django-q2 itself bounds successes alone."""
    return int(Task.objects.filter(stopped__lt=timezone.now() - MONTH).delete()[0])


def old_sessions() -> int:
    """Sessions that have expired, as `clearsessions` does."""
    return int(Session.objects.filter(expire_date__lt=timezone.now()).delete()[0])


def old_tokens() -> int:
    """API tokens that expired or were revoked a quarter ago."""
    before = database_now() - QUARTER
    return ApiToken.objects.filter(Q(expires_at__lt=before) | Q(revoked_at__lt=before)).delete()[0]
