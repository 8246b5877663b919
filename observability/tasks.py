"""The scheduled jobs of housekeeping and their schedule: is a worker alive, is the rail whole, and what has modules of
its own (stuck, rollup, spend, cleaning).

Each is short, idempotent, asks the database a handful of statements, and leaves its finding in `Check`. Nothing that a
mission's correctness depends on runs here. `ensure_schedules` puts them on django-q2's clock.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max, Min, Q
from django_q.models import Schedule

from approvals import currency, reminding
from approvals.outbound import failures, sending
from approvals.outbound.events import emit
from missions.engine import history
from missions.keeping import retention
from missions.models import Entry, Mission, Worker
from missions.models.fields import DatabaseNow
from observability import rollup, spend, watchdog
from observability.checks import is_quiet, record, still_stands
from observability.models import Check
from observability.stream import settled_before

logger = logging.getLogger(__name__)
HEARTBEAT, RAIL, STALE, OUTBOUND = "worker-heartbeat", "rail-gap", "stale-decisions", "outbound"
VERIFIED = 200  # missions whose whole chain is recomputed in one run
NAMED = 10  # faults told by name
SCHEDULES = (  # name, function, every so many minutes
    (HEARTBEAT, "observability.tasks.worker_heartbeat_alarm", 1),
    (OUTBOUND, "observability.tasks.send_outbound", 1),
    (RAIL, "observability.tasks.watch_rail", 5),
    (STALE, "observability.tasks.watch_decisions", 5),
    ("reminders", "observability.tasks.remind", 1),
    ("stuck", "observability.stuck.watch", 2),
    (spend.NAME, "observability.spend.roll_up", 5),
    ("roll-up", "observability.rollup.roll_up", 60),
    ("archive", "observability.tasks.archive", 60),
    ("cleaning", "observability.cleaning.clean", 24 * 60),
)


def ensure_schedules() -> None:
    """Create the schedules that are missing; what an administrator changed stays. Nothing without django-q2's table."""
    if Schedule._meta.db_table not in connection.introspection.table_names():
        return
    for name, function, minutes in SCHEDULES:
        values = {"func": function, "schedule_type": Schedule.MINUTES, "minutes": minutes, "repeats": -1}
        Schedule.objects.get_or_create(name=name, defaults=values)
    watchdog.arm()


def on_migrated(sender: Any, **facts: Any) -> None:
    """After a migration: the receiver of `post_migrate`."""
    ensure_schedules()


def living_workers() -> tuple[int, int]:
    """How many workers are known as alive, and how many of these have not been heard of in time. One statement."""
    hung = dt.timedelta(seconds=settings.MISSIONS_HUNG_SECONDS)
    late = Count("pk", filter=Q(heartbeat_at__lt=DatabaseNow() - hung))
    found = Worker.objects.filter(dead_at=None).aggregate(known=Count("pk"), late=late)
    return found["known"], found["late"]


def worker_heartbeat_alarm() -> str:
    """Raise the alarm where no worker lives, or one is silent; returns the finding."""
    known, late = living_workers()
    if not known:
        detail = "No mission worker is running: missions wait. Start one with `manage.py runmissions`."
    elif late:
        detail = f"{late} of {known} mission workers have not been heard of for {settings.MISSIONS_HUNG_SECONDS:g} s."
    else:
        detail = f"{known} mission workers are alive." if known > 1 else "One mission worker is alive."
    ok = bool(known and not late)
    if not ok:
        logger.warning(detail, extra={"action": "worker_heartbeat_alarm", "known": known, "late": late})
    with transaction.atomic():
        was_ok = Check.objects.filter(name=HEARTBEAT, ok=True).exists()
        record(HEARTBEAT, ok, detail)
        if was_ok and not ok:  # once an outage
            emit("worker.down", sentence=detail, facts={"known": known, "late": late})
    return detail


def send_outbound() -> str:
    """Send what waits to leave the house, as each event asks for too; the finding is what was given up lately."""
    done = sending.send_due()
    failed, waiting = failures.given_up(), failures.overdue()
    late = f" {waiting} have waited for their turn for over {failures.LATE_MINUTES} minutes." if waiting else ""
    told = f"{failed} deliveries were given up in the last day; see Webhooks." if failed else "All deliveries arrive."
    record(OUTBOUND, not (failed or waiting), told + late)
    return done


def watch_rail() -> str:
    """`rail_gap_check` where anything was written since it last ran here; returns the finding."""
    if not is_quiet(RAIL):
        return rail_gap_check()
    still_stands(RAIL)
    return "Nothing was written since."


def watch_decisions() -> int:
    """Settle open decisions that their missions left behind, where anything was written; how many."""
    return 0 if is_quiet(STALE) else currency.sweep()


def remind() -> int:
    """Remind those who may vote of what is due soon or overdue; how many reminders."""
    return reminding.remind()


def archive() -> str:
    """Move what was kept long enough into the archive; only what is rolled up and counted. The finding."""
    before = rollup.closed_until()
    if before is None:
        return "Nothing is rolled up yet."
    spend.roll_up()
    found = retention.run(before=min(before, spend.uncounted_since() or before))
    record("archive", not found.failed, str(found))
    return str(found)


def rail_gap_check() -> str:
    """Check the missions that changed since the last sound run: no seq is missing, and the chains hold.

    After a fault the position stays, so that the finding stands until it is dealt with. Returns the finding.
    """
    since = Check.objects.filter(name=RAIL).values_list("position", flat=True).first() or 0
    until = settled_before()
    changed = list(Entry.objects.filter(tx__gte=since, tx__lt=until).values_list("mission_id", flat=True).distinct())
    faults = _gaps(changed) or _broken(changed[:VERIFIED])
    if faults:
        detail = f"{len(faults)} missions are damaged: {' '.join(faults[:NAMED])}"
        logger.error(detail, extra={"action": "rail_gap", "missions": len(faults)})
    else:
        detail = f"{len(changed)} missions are whole; the chains of {min(len(changed), VERIFIED)} were verified."
    record(RAIL, not faults, detail, position=since if faults else until)
    return detail


def _gaps(missions: list[int]) -> list[str]:
    """The missions whose entries are not numbered 1, 2, 3 … to the last; one statement."""
    counted = Entry.objects.filter(mission_id__in=missions).values("mission_id").order_by("mission_id")
    found = counted.annotate(entries=Count("seq"), first=Min("seq"), last=Max("seq"))
    return [
        f"Mission {row['mission_id']} has {row['entries']} entries from {row['first']} to {row['last']}."
        for row in found
        if (row["first"], row["last"]) != (1, row["entries"])
    ]


def _broken(missions: list[int]) -> list[str]:
    """The missions whose chain does not hold."""
    checked = ((mission, history.verify(mission)) for mission in Mission.objects.filter(pk__in=missions))
    return [f"Mission {mission.pk}: {found.reason}" for mission, found in checked if not found.ok]
