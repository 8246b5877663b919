"""Who watches the housekeeping: mission workers, which live anyway, ring an alarm that sets itself again.

Late, dead and repeatedly failing housekeeping is told on the health page and in the log. Nothing that a mission's
correctness depends on runs there, so readiness is not affected.
"""

from __future__ import annotations

import datetime as dt
import logging

from django.db import connection
from django.utils import timezone
from django_q.models import Schedule, Task

from missions.engine import alarms
from missions.engine.clock import database_now
from missions.models import Alarm
from observability.checks import record
from observability.models import Check

logger = logging.getLogger(__name__)
NAME, ALARM = "housekeeping", "housekeeping.watch"
HEARTBEAT = "worker-heartbeat"  # the job that runs each minute: its stamp says that housekeeping lives
EVERY = dt.timedelta(minutes=10)
LATE = dt.timedelta(minutes=5)
SCHEDULE_LATE = dt.timedelta(minutes=15)  # a job may have to wait for a long one
FAILURES = 3  # in a row


def arm() -> None:
    """Let workers watch from now on; nothing where they do already."""
    if Alarm._meta.db_table not in connection.introspection.table_names():
        return
    if not Alarm.objects.filter(what__startswith=f"{ALARM}:", rung_at=None).exists():
        alarms.set_alarm(f"{ALARM}:all", database_now() + EVERY)


@alarms.handler(ALARM)
def watch(subject: str, nominal_at: dt.datetime) -> None:
    """Look after the housekeeping, record and log what is wrong, and come again."""
    faults = faults_found()
    if faults:
        logger.error(" ".join(faults), extra={"action": "housekeeping_late", "faults": len(faults)})
    record(NAME, not faults, " ".join(faults) or "Housekeeping runs on time.")
    alarms.set_alarm(f"{ALARM}:{subject}", database_now() + EVERY)


def faults_found() -> list[str]:
    """What is wrong with the housekeeping, in sentences; empty while it runs on time."""
    stamp = Check.objects.filter(name=HEARTBEAT).values_list("checked_at", flat=True).first()
    if stamp is None:
        return ["Housekeeping has not run yet. Start it with `manage.py qcluster`."]
    silence = database_now() - stamp
    if silence > LATE:
        minutes = silence.total_seconds() / 60
        return [f"Housekeeping has not run for {minutes:.0f} minutes; restart `manage.py qcluster`."]
    return [*_late_schedules(), *_failing()]


def _late_schedules() -> list[str]:
    """django-q2 keeps its times on its own clock, not on the one that tests move."""
    late = Schedule.objects.filter(next_run__lt=timezone.now() - SCHEDULE_LATE).exclude(repeats=0).order_by("name")
    return [f"The job {name} is late." for name in late.values_list("name", flat=True) if name]


def _failing() -> list[str]:
    return [f"The job {name} failed {FAILURES} times in a row." for name, func in _jobs() if _fails(func)]


def _jobs() -> list[tuple[str, str]]:
    jobs = Schedule.objects.filter(func__startswith="observability.").order_by("name")
    return [(name or func, func) for name, func in jobs.values_list("name", "func")]


def _fails(func: str) -> bool:
    last = list(Task.objects.filter(func=func).order_by("-stopped").values_list("success", flat=True)[:FAILURES])
    return len(last) == FAILURES and not any(last)
