"""The watch over missions that should move and do not: finds them, tells of each once, nudges where that is safe.

Looks through partial indexes, and through missions without a time to wake at in bounded stretches of ids, going on
where the last look ended. While nothing was written it rests, except where something becomes due meanwhile. The only
thing that it does is to send the hint again that something is due; it changes no mission.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min, Q, QuerySet

from approvals.models import Decision
from approvals.outbound.events import emit
from missions.engine import feed
from missions.engine.clock import database_now
from missions.engine.registry import all_types
from missions.models import ENDED, Alarm, Effect, EffectState, Mission, Outcome, State, Worker
from observability.checks import is_quiet, record, still_stands
from observability.models import Check, Stuck

logger = logging.getLogger(__name__)
NAME = "stuck"
MOST = 100  # findings of a kind
STRETCH = 20_000  # ids looked through in one go
RESTING = (*ENDED, State.PAUSED)
OPEN = (EffectState.INTENDED, EffectState.IN_DOUBT)
_look_again: dict[str, dt.datetime] = {}  # when, though nothing was written; a restart looks at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that does not move; `subject` tells it from others of its kind."""

    kind: str
    subject: str
    detail: str
    mission: uuid.UUID | None = None


def watch() -> str:
    """Look, tell what is new, forget what moves again; the finding."""
    now, quiet = database_now(), is_quiet(NAME)
    if quiet and not now >= _look_again.get(NAME, now):
        still_stands(NAME)
        return "Nothing was written since."
    before = now - dt.timedelta(seconds=settings.MISSIONS_STUCK_SECONDS)
    place = Check.objects.filter(name=NAME).values_list("position", flat=True).first() or 0
    findings = [*(_overdue(before) if _workers_live() else ()), *_orphaned(before), *_effects(before)]
    waiting, place = _timeless(before, place)
    findings += waiting
    _tell(findings)
    if any(found.kind in ("overdue", "alarm") for found in findings):
        feed.announce_due()  # a lost hint costs no more than this
    _look_again[NAME] = now if place else _next_look(now, quiet)
    detail = f"{len(findings)} things do not move." if findings else "Everything moves that should."
    record(NAME, not findings, detail, position=place)
    return detail


def _mission(kind: str, mission: Mission, detail: str) -> Finding:
    return Finding(kind=kind, subject=str(mission.uid), detail=detail, mission=mission.uid)


def _next_look(now: dt.datetime, quiet: bool) -> dt.datetime:
    """When something may be stuck though nothing is written until then: a patience after what is due next."""
    patience = dt.timedelta(seconds=settings.MISSIONS_STUCK_SECONDS)
    due = Mission.objects.filter(owner=None, wake_at__gt=now - patience).aggregate(at=Min("wake_at"))["at"]
    rings = Alarm.objects.filter(rung_at=None, nominal_at__gt=now - patience).aggregate(at=Min("nominal_at"))["at"]
    ends = Effect.objects.filter(state__in=OPEN, deadline_at__gt=now - patience).aggregate(at=Min("deadline_at"))["at"]
    moments = [at for at in (due, rings, ends, None if quiet else now) if at is not None]
    return min(moments) + patience if moments else now + dt.timedelta(days=1)


# -- What does not move ------------------------------------------------------------------------------------------------


def _workers_live() -> bool:
    """Without any, everything waits, and another watch says so."""
    return Worker.objects.filter(dead_at=None).exists()


def _overdue(before: dt.datetime) -> Iterator[Finding]:
    """Due missions that nobody claims, sleepers among them, and alarms that nobody rings."""
    known = {kind.name for kind in all_types()}
    for mission in Mission.objects.filter(owner=None, wake_at__lt=before).order_by("wake_at")[:MOST]:
        why = "and no worker took it" if mission.type in known else f"and no code here knows its type {mission.type}"
        yield _mission("overdue", mission, f"It has been due since {mission.wake_at:%Y-%m-%d %H:%M:%S} {why}.")
    for alarm in Alarm.objects.filter(rung_at=None, nominal_at__lt=before).order_by("nominal_at")[:MOST]:
        detail = f"The alarm {alarm.what} should have rung at {alarm.nominal_at:%Y-%m-%d %H:%M:%S}."
        yield Finding(kind="alarm", subject=f"{alarm.what[:150]} {alarm.pk}", detail=detail)


def _orphaned(before: dt.datetime) -> Iterator[Finding]:
    """Missions whose owner is no worker, or died longer ago than any takeover lasts."""
    known = Worker.objects.filter(Q(dead_at=None) | Q(dead_at__gte=before)).values("pk")
    for mission in Mission.objects.filter(owner__isnull=False).exclude(owner__in=known).order_by("owner")[:MOST]:
        yield _mission("orphaned", mission, "Its worker is dead or unknown, and nobody has taken it over.")


def _effects(before: dt.datetime) -> Iterator[Finding]:
    """Effects without an outcome that nobody is busy with and nobody is asked about."""
    overdue = Effect.objects.filter(state__in=OPEN, deadline_at__lt=before).order_by("mission_id")
    open_effects = dict(overdue.values_list("mission_id", "tool")[: 10 * MOST])
    left = Mission.objects.filter(pk__in=open_effects, owner=None, wake_at=None).exclude(state__in=RESTING)
    asked = Decision.objects.open().filter(mission__in=open_effects).values("mission_id")
    for mission in left.exclude(pk__in=asked).order_by("pk")[:MOST]:
        detail = f"Nobody knows whether {open_effects[mission.pk]} happened, and nobody is finding out."
        yield _mission("effect", mission, detail)


def _timeless(before: dt.datetime, place: int) -> tuple[list[Finding], int]:
    """Missions that nothing will wake, in one stretch of ids; and where to go on, 0 at the end."""
    end = Mission.objects.aggregate(last=Max("pk"))["last"] or 0
    until = place + STRETCH
    known = Stuck.objects.filter(kind="wait").values_list("mission", flat=True)
    parked = Mission.objects.filter(owner=None, wake_at=None).exclude(state__in=RESTING)
    rows = parked.filter(Q(pk__gt=place, pk__lte=until) | Q(uid__in=[one for one in known if one]))
    return list(_judged(rows, before))[:MOST], until if until < end else 0


def _judged(rows: QuerySet[Mission], before: dt.datetime) -> Iterator[Finding]:
    missions = list(rows.only("uid", "state", "waits_for", "waits_since"))
    settled = {"decision": _settled(missions, before), **dict.fromkeys(("child", "mission"), _ended(missions, before))}
    for mission in missions:
        kind, _, subject = mission.waits_for.partition(":")
        if kind in settled and subject in settled[kind]:
            yield _mission("wait", mission, f"It waits for a {kind} {settled[kind][subject]}.")
        elif kind in ("", "timer"):
            yield _mission("wait", mission, f"It is {mission.state}, and there is no time at which it would go on.")


def _subjects(missions: list[Mission], *kinds: str) -> set[uuid.UUID]:
    pairs = (mission.waits_for.partition(":") for mission in missions)
    return {found for kind, _, subject in pairs if kind in kinds and (found := _uuid(subject))}


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _settled(missions: list[Mission], before: dt.datetime) -> dict[str, str]:
    """The decisions waited for that will never be answered: settled a while ago, or not there."""
    asked = _subjects(missions, "decision")
    found = {one.pk: one for one in Decision.objects.filter(pk__in=asked).only("state", "resolved_at")} if asked else {}
    settled = {str(pk): "that is settled" for pk, one in found.items() if one.resolved_at and one.resolved_at < before}
    return settled | {str(pk): "that does not exist" for pk in asked - found.keys()}


def _ended(missions: list[Mission], before: dt.datetime) -> dict[str, str]:
    """The missions waited for that ended a while ago."""
    asked = _subjects(missions, "child", "mission")
    ended = Outcome.objects.filter(mission__uid__in=asked, ended_at__lt=before) if asked else Outcome.objects.none()
    return {str(uid): "that has ended" for uid in ended.values_list("mission__uid", flat=True)}


# -- Telling -----------------------------------------------------------------------------------------------------------


def _tell(findings: list[Finding]) -> None:
    """Log what is new, once, and forget what moves again."""
    known = {(row.kind, row.subject): row for row in Stuck.objects.all()}
    wanted = {(found.kind, found.subject): found for found in findings}
    for key in wanted.keys() - known.keys():
        found = wanted[key]
        with transaction.atomic():
            Stuck.objects.create(kind=found.kind, subject=found.subject, mission=found.mission, detail=found.detail)
            mission = Mission.objects.filter(uid=found.mission).first() if found.mission else None
            emit("mission.stuck", mission=mission, facts={"what": found.kind}, sentence=found.detail)
        facts = {"action": "mission_stuck", "kind": found.kind, "subject": found.subject}
        logger.warning(found.detail, extra=facts)
    for key in known.keys() - wanted.keys():
        known[key].delete()
        logger.info("It moves again", extra={"action": "mission_moves", "kind": key[0], "subject": key[1]})
