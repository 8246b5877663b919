"""Figures day by day and type by type, computed once for each closed day, so that they outlive the missions.

A day is closed a quarter of an hour after it ended (UTC). Days are rolled up in order, each in one transaction with the
note of how far we are: a run that dies repeats a day as a whole. What left for the archive is never counted again, so
the archive takes only missions that ended on days which are rolled up.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Any

from django.db import transaction
from django.db.models import (
    Aggregate,
    CharField,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Min,
    OuterRef,
    Q,
    Subquery,
    Sum,
)

from approvals.models import Decision
from missions.engine.clock import database_now
from missions.models import Brief, Effect, EffectState, Mission, Outcome, State
from observability.checks import is_quiet, record, still_stands
from observability.models import Check, Daily

NAME = "roll-up"
SETTLED = dt.timedelta(minutes=15)
MOST = 31  # days in a run
VERDICTS = 20  # told by name, the most frequent ones
DAY = dt.timedelta(days=1)


class Percentile(Aggregate):
    """`percentile_cont` over durations."""

    function = "percentile_cont"
    template = "%(function)s(%(share)s) within group (order by %(expressions)s)"


def roll_up() -> str:
    """Roll up the closed days that are not yet; the finding."""
    end, day = _today(), _next_day()
    if day is None or day >= end:
        still_stands(NAME)
        return "Every closed day is rolled up."
    last = min(end, day + MOST * DAY)
    while day < last:
        with transaction.atomic():
            _compute(day)
            day += DAY
            record(NAME, True, f"Rolled up to the end of {day - DAY}.", position=day.toordinal())
    return f"Rolled up to the end of {last - DAY}."


def closed_until() -> dt.datetime | None:
    """The end of the last day that is rolled up; None before the first."""
    position = Check.objects.filter(name=NAME).values_list("position", flat=True).first()
    return _begin(dt.date.fromordinal(position)) if position else None


def last_days(days: int, shown: Q | None = None) -> list[Daily]:
    """The figures of the last closed days, newest first, types by name; `shown` says of which types."""
    rows = Daily.objects.filter(shown or Q(), day__gte=_today() - days * DAY)
    return list(rows.order_by("-day", "type"))


def _today() -> dt.date:
    """The first day that is not closed."""
    return (database_now() - SETTLED).date()


def _next_day() -> dt.date | None:
    position = Check.objects.filter(name=NAME).values_list("position", flat=True).first()
    if position:
        return dt.date.fromordinal(position)
    if is_quiet(NAME):
        return None  # still nothing at all
    first: dt.datetime | None = Brief.objects.aggregate(first=Min("started_at"))["first"]
    return first.astimezone(dt.UTC).date() if first else None


def _begin(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _compute(day: dt.date) -> None:
    """All figures of one day; a handful of statements, whatever the number of missions."""
    within = (_begin(day), _begin(day + DAY) - dt.timedelta(microseconds=1))
    figures: dict[str, dict[str, Any]] = defaultdict(dict)
    for rows in (_started(within), _ended(within), _asked(within), _changed(within)):
        for row in rows:
            figures[row.pop("of_type")].update(row)
    for type, verdicts in _verdicts(within).items():
        figures[type]["verdicts"] = verdicts
    for type, row in figures.items():
        plain = {name: _plain(value) for name, value in row.items()}
        Daily.objects.update_or_create(day=day, type=type, defaults=plain)


def _plain(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, dt.timedelta) else value


Within = tuple[dt.datetime, dt.datetime]


def _started(within: Within) -> Any:
    rows = Brief.objects.filter(started_at__range=within).values(of_type=F("mission__type"))
    return rows.annotate(started=Count("pk"))


def _ended(within: Within) -> Any:
    took = ExpressionWrapper(F("ended_at") - F("mission__brief__started_at"), output_field=DurationField())
    rows = Outcome.objects.filter(ended_at__range=within).values(of_type=F("mission__type"))
    return rows.annotate(
        completed=Count("pk", filter=Q(mission__state=State.COMPLETED)),
        failed=Count("pk", filter=Q(mission__state=State.FAILED)),
        cancelled=Count("pk", filter=Q(mission__state=State.CANCELLED)),
        median_seconds=Percentile(took, share=0.5, output_field=DurationField()),
        p95_seconds=Percentile(took, share=0.95, output_field=DurationField()),
    )


def _verdicts(within: Within) -> dict[str, dict[str, int]]:
    rows = Outcome.objects.filter(ended_at__range=within, mission__state=State.COMPLETED)
    counted = rows.values_list("mission__type", "verdict").annotate(count=Count("pk")).order_by("-count", "verdict")
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for type, verdict, count in counted:
        if len(found[type]) < VERDICTS:
            found[type][verdict] = count
    return found


def _asked(within: Within) -> Any:
    open_for = ExpressionWrapper(F("resolved_at") - F("opened_at"), output_field=DurationField())
    rows = Decision.objects.exclude(state="open").filter(resolved_at__range=within, mission__isnull=False)
    return rows.values(of_type=F("mission__type")).annotate(decisions=Count("pk"), people_seconds=Sum(open_for))


def _changed(within: Within) -> Any:
    ended = Outcome.objects.filter(ended_at__range=within).values("pk")
    type = Subquery(Mission.objects.filter(pk=OuterRef("mission_id")).values("type"), output_field=CharField())
    rows = Effect.objects.filter(mission_id__in=ended).annotate(of_type=type).values("of_type")
    return rows.annotate(
        effects_done=Count("pk", filter=Q(state__in=(EffectState.DONE, EffectState.UNDONE))),
        effects_in_doubt=Count("pk", filter=Q(state__in=(EffectState.INTENDED, EffectState.IN_DOUBT))),
    )
