"""Schedules: the verbs that keep them, and the alarm that starts their missions.

Each schedule has one alarm, for `next_at`; ringing it starts what its policy on missed times says and sets the next one
in the same transaction. A mission is started under a key of schedule and nominal time, so twice counts once. All on
the database clock.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from missions.engine import alarms, codec, cron
from missions.engine.clock import database_now
from missions.engine.registry import get_type
from missions.engine.starting import PRIORITIES, TITLE_LENGTH, Wish, begin
from missions.errors import InvalidInput, ScheduleExists, StandfastError, UnknownSchedule, UnknownType
from missions.models import Missed, Mission, Schedule

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)
FIRE = "schedule.fire"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
RESERVED = ("new",)
FIELDS = ("type", "input", "title", "cron", "timezone", "missed", "enabled", "priority", "run_as")
LATE = dt.timedelta(minutes=1)  # what rings later than this was missed
ALL_MOST = 100  # how many missed times are made up for at once


def get(name: str) -> Schedule:
    """The schedule of this name. Raises UnknownSchedule."""
    found = Schedule.objects.select_related("run_as").filter(name=name).first()
    if found is None:
        raise UnknownSchedule(f"There is no schedule {name!r}.")
    return found


def create(name: str, **fields: Any) -> Schedule:
    """Keep a new schedule and set its alarm. `fields`: those of `FIELDS`. Raises InvalidInput, ScheduleExists."""
    schedule = Schedule(name=name, changed_at=database_now(), **fields)
    _check(schedule)
    try:
        with transaction.atomic():
            schedule.save(force_insert=True)
            _arm(schedule, schedule.changed_at)
    except IntegrityError as error:
        raise ScheduleExists(f"There is a schedule {name!r} already.") from error
    return schedule


@transaction.atomic
def change(name: str, **fields: Any) -> Schedule:
    """Change some of `FIELDS`; the times count anew from now. Raises UnknownSchedule, InvalidInput."""
    schedule = Schedule.objects.select_for_update().filter(name=name).first()
    if schedule is None:
        raise UnknownSchedule(f"There is no schedule {name!r}.")
    for field, value in fields.items():
        if field not in FIELDS:
            raise TypeError(f"a schedule has no {field!r} to change")
        setattr(schedule, field, value)
    _check(schedule)
    schedule.changed_at = database_now()
    _arm(schedule, schedule.changed_at)
    return schedule


def delete(name: str) -> None:
    """Remove a schedule; its missions stay. Raises UnknownSchedule."""
    if not Schedule.objects.filter(name=name).delete()[0]:
        raise UnknownSchedule(f"There is no schedule {name!r}.")


def run_now(name: str, *, started_by: User | None, key: str | None = None) -> tuple[Mission, bool]:
    """Start a schedule's mission now, for whoever asks. Raises UnknownSchedule, and what `begin` raises."""
    schedule = get(name)
    full_key = f"schedule:{schedule.pk}:now:{key}" if key is not None else None
    return begin(_wish(schedule, full_key, started_by))


def next_times(schedule: Schedule, count: int) -> list[dt.datetime]:
    """When it comes next, in UTC; nothing while it is disabled."""
    if not schedule.enabled or schedule.next_at is None:
        return []
    return [schedule.next_at, *cron.upcoming(schedule.cron, schedule.timezone, schedule.next_at, count - 1)]


def _wish(schedule: Schedule, key: str | None, started_by: User | None) -> Wish:
    return Wish(
        type=schedule.type, input=schedule.input, title=schedule.title, key=key, started_by=started_by, via="schedule",
        priority=schedule.priority,
    )


def _arm(schedule: Schedule, now: dt.datetime) -> None:
    """Find the next time and set its alarm; an alarm of another time finds that it is out of date."""
    schedule.next_at = cron.first(schedule.cron, schedule.timezone, now) if schedule.enabled else None
    schedule.save()
    if schedule.next_at is not None:
        alarms.set_alarm(f"{FIRE}:{schedule.pk}", schedule.next_at)


# -- What is refused ---------------------------------------------------------------------------------------------------


def _check(schedule: Schedule) -> None:
    """Raises InvalidInput with all that is wrong, field by field."""
    errors = [
        {"field": field, "message": message}
        for field, message in (
            ("name", _name_fault(schedule.name)),
            ("title", "" if len(schedule.title) <= TITLE_LENGTH else f"At most {TITLE_LENGTH} characters."),
            ("missed", "" if schedule.missed in Missed.values else f"One of {', '.join(Missed.values)}."),
            ("priority", _priority_fault(schedule.priority)),
            ("timezone", _zone_fault(schedule.timezone)),
            ("cron", _cron_fault(schedule.cron)),
        )
        if message
    ]
    errors += _input_faults(schedule)
    if errors:
        raise InvalidInput("The schedule can not be kept.", errors=errors)


def _name_fault(name: str) -> str:
    if name in RESERVED:
        return f"{name!r} is an address of the console."
    return "" if NAME.fullmatch(name) else "Small letters, digits and dashes, 1 to 100."


def _priority_fault(priority: int) -> str:
    low, high = PRIORITIES
    return "" if low <= priority <= high else f"Between {low} and {high}."


def _zone_fault(name: str) -> str:
    try:
        cron.zone(name)
    except ValueError as error:
        return str(error)
    return ""


def _cron_fault(expression: str) -> str:
    if len(expression) > 100:
        return "At most 100 characters."
    try:
        cron.first(expression, "UTC", dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    except cron.BadCron as error:
        return str(error)
    return ""


def _input_faults(schedule: Schedule) -> list[dict[str, str]]:
    try:
        schedule.input = get_type(schedule.type).check_input(schedule.input)
        codec.dump(schedule.input, limit=codec.INPUT_BYTES)
    except UnknownType as error:
        return [{"field": "type", "message": str(error)}]
    except InvalidInput as error:
        return [{"field": f"input.{one['field']}".rstrip("."), "message": one["message"]} for one in error.errors]
    except StandfastError as error:
        return [{"field": "input", "message": str(error)}]
    return []


# -- The alarm ---------------------------------------------------------------------------------------------------------


@alarms.handler(FIRE)
def fire(subject: str, nominal_at: dt.datetime) -> None:
    """Start what is due and set the next alarm. A schedule that was changed or removed meanwhile does nothing."""
    schedule = Schedule.objects.select_for_update().filter(pk=int(subject)).first()
    if schedule is None or not schedule.enabled or schedule.next_at != nominal_at:
        return
    now = database_now()
    schedule.last_error = ""
    for at in _wanted(schedule, nominal_at, now):
        _start(schedule, at)
    _arm(schedule, now)


def _wanted(schedule: Schedule, nominal_at: dt.datetime, now: dt.datetime) -> list[dt.datetime]:
    """The times to start missions for, by the policy on missed ones."""
    most = ALL_MOST if schedule.missed == Missed.ALL else 1
    found = cron.due(schedule.cron, schedule.timezone, nominal_at, now, most)
    if schedule.missed == Missed.SKIP:
        found = [at for at in found if now - at <= LATE]
    if now - nominal_at > LATE:
        facts = {"action": "schedule_late", "schedule": schedule.name, "since": nominal_at.isoformat()}
        logger.warning("A schedule rang late", extra={**facts, "started": len(found)})
    return found


def _start(schedule: Schedule, at: dt.datetime) -> None:
    """One mission for one nominal time; what refuses it is kept for people to read, and the schedule goes on."""
    try:
        if schedule.run_as is not None and not schedule.run_as.is_active:
            raise StandfastError(f"{schedule.run_as.get_username()} may not sign in any more.")
        mission, _ = begin(_wish(schedule, f"schedule:{schedule.pk}:{at.isoformat()}", schedule.run_as))
    except StandfastError as error:
        schedule.last_error = f"{at:%Y-%m-%d %H:%M} UTC: {codec.words(error)}"
        facts = {"action": "schedule_refused", "schedule": schedule.name, "why": str(error)[:300]}
        logger.warning("A schedule could not start its mission", extra=facts)
    else:
        schedule.last_at, schedule.last_mission = at, mission.pk
