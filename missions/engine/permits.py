"""Permits: who may make a limited call now, and in which order the others follow.

A permit belongs to a mission and a key path; asking again is the same permit, so it survives a takeover. Whoever gets
none waits in the queue, by priority and then age, and is woken by a signal `permit:ID`: nobody polls. What can change
by time alone (a rate, a probe, a holder that is gone) is an alarm.

Lock order: limits by id, circuits by tool, permits, and last the missions that are woken, by id (docs/locking.md).
A permit is void when its mission ended or is paused (unless a control of it makes calls), or is parked, or leaves it
unused for `pools.UNUSED` after its worker died: so none is held for ever.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from missions.engine import alarms, feed, mailbox
from missions.engine.pools import Pool, count, locked, queue, revive_probes, void
from missions.errors import MissionEnded, UnknownMission
from missions.models import CircuitState, Limit, Mission, Permit

LOOK_AGAIN = 5.0  # seconds between two looks at holders that may be gone, while somebody waits
GRID = 0.05  # seconds: alarms of a rate are rounded up to it, so that a queue sets few of them
WAKE_EVERY = 0.1  # seconds between two waves of MISSIONS_WAKES_AT_ONCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A call that wants to be made."""

    mission_id: int
    attempt: int
    path: str
    tool: str
    limits: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The answer: granted, or the place in the queue, and what it waits for."""

    id: int
    granted: bool
    limit: str = ""  # SCOPE:NAME of the first limit that has no room; empty where the circuit is open
    probe_at: dt.datetime | None = None
    escalate_at: dt.datetime | None = None

    @property
    def signal(self) -> str:
        """What wakes the mission."""
        return f"permit:{self.id}"


# -- The verbs ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def acquire(ask: Ask) -> Ticket:
    """Ask for a call's permit, or for what became of an earlier request. Own transaction."""
    pool = locked(ask.limits, [ask.tool])
    priority = Mission.objects.values_list("priority", flat=True).get(pk=ask.mission_id)
    mine = {"attempt": ask.attempt, "tool": ask.tool, "limits": list(ask.limits), "suspect_at": None}
    permit, _ = Permit.objects.update_or_create(
        mission_id=ask.mission_id, path=ask.path, defaults=mine,
        create_defaults={**mine, "priority": priority, "asked_at": pool.now},
    )
    if permit.granted_at is None:
        granted = _grant(pool, queue(pool))
        permit.granted_at = pool.now if permit.pk in granted else None
        _look_again(pool)
        _wake(pool, (one for one in granted.values() if one.pk != permit.pk))
    if permit.granted_at is not None:
        Permit.objects.filter(pk=permit.pk).update(taken=True)
    return _ticket(pool, permit)


@transaction.atomic
def give_back(mission_id: int, path: str, limits: Sequence[int], tool: str) -> None:
    """The call is over: its permit goes to the next in the queue. Nothing happens where there is none."""
    _settled(locked(limits, [tool]), drop=Permit.objects.filter(mission_id=mission_id, path=path))


@alarms.handler("permits")
@transaction.atomic
def settle(subject: str, nominal_at: dt.datetime) -> None:
    """Look at the queue of `limit:ID` or `tool:NAME`: take back what is void, grant what there is room for."""
    scope, _, name = subject.partition(":")
    limits, tools = ([int(name)], []) if scope == "limit" else ([], [name])
    alarms.forget_rung(f"permits:{subject}", nominal_at)
    pool = locked(limits, tools)
    _settled(pool, drop=void(pool, limits, tools))


def _settled(pool: Pool, drop: QuerySet[Permit]) -> None:
    drop.delete()
    revive_probes(pool)
    count(pool)
    granted = _grant(pool, queue(pool))
    _look_again(pool)
    _wake(pool, granted.values())


# -- Granting ----------------------------------------------------------------------------------------------------------


def _grant(pool: Pool, waiting: Sequence[Permit]) -> dict[int, Permit]:
    """Grant what there is room for, in the queue's order; the granted, by id."""
    granted: dict[int, Permit] = {}
    for permit in waiting:
        if pool.wakes >= settings.MISSIONS_WAKES_AT_ONCE:
            break
        if pool.full(permit) is None and pool.lets_through(permit):
            pool.take(permit)
            pool.wakes += 1
            granted[permit.pk] = permit
    Permit.objects.filter(pk__in=granted).update(granted_at=pool.now)
    _keep(pool)
    return granted


def _keep(pool: Pool) -> None:
    """Write down what was used up."""
    for limit in pool.limits.values():
        if limit.rate_count:
            Limit.objects.filter(pk=limit.pk).update(tokens=limit.tokens, refilled_at=limit.refilled_at)
    if pool.changed:
        for circuit in pool.changed:
            circuit.save()
        feed.announce_rules()


def _wake(pool: Pool, granted: Iterable[Permit]) -> None:
    """Tell the missions; the last statements of the transaction, in the order of mission ids."""
    probes = {circuit.probe for circuit in pool.circuits.values()}
    rows = sorted(granted, key=lambda one: (one.mission_id, one.pk))
    idle = {row.pk for row in rows if not row.limits and row.pk not in probes}  # they hold nothing
    Permit.objects.filter(pk__in=idle).delete()
    for row in rows:
        try:
            mailbox.deliver(row.mission_id, f"permit:{row.pk}", {"path": row.path}, sender="limits")
        except (MissionEnded, UnknownMission):
            Permit.objects.filter(pk=row.pk).delete()  # the next look grants its place


def _look_again(pool: Pool) -> None:
    """Alarms for what changes by time alone, while somebody waits."""
    waiting, now = Permit.objects.filter(granted_at=None), pool.now.timestamp()
    busy = pool.wakes >= settings.MISSIONS_WAKES_AT_ONCE
    for limit in pool.ids:
        if waiting.filter(limits__contains=[limit]).exists():
            _alarm(f"limit:{limit}", now, WAKE_EVERY if busy else _next_look(pool.limits.get(limit)))
    for tool in pool.tools:
        circuit = pool.circuits.get(tool)
        closed = circuit is None or circuit.state == CircuitState.CLOSED
        if (closed and not busy) or not waiting.filter(tool=tool).exists():
            continue  # what waits here waits for a limit
        probe_at = circuit.probe_at if circuit is not None else None
        left = probe_at.timestamp() - now if probe_at is not None else 0.0
        _alarm(f"tool:{tool}", now, WAKE_EVERY if closed else left if left > 0 else LOOK_AGAIN)


def _next_look(limit: Limit | None) -> float:
    """Seconds until there may be room."""
    if limit is not None and limit.rate_count and limit.rate_seconds and limit.tokens < 1:
        return min(LOOK_AGAIN, (1 - limit.tokens) * limit.rate_seconds / limit.rate_count)
    return LOOK_AGAIN


def _alarm(subject: str, now: float, seconds: float) -> None:
    """Rounded up, so that many who wait set one alarm."""
    grid = LOOK_AGAIN if seconds >= LOOK_AGAIN else GRID
    at = math.ceil((now + seconds) / grid) * grid
    alarms.set_alarm(f"permits:{subject}", dt.datetime.fromtimestamp(at, dt.UTC))


def _ticket(pool: Pool, permit: Permit) -> Ticket:
    if permit.granted_at is not None:
        return Ticket(id=permit.pk, granted=True)
    full, circuit = pool.full(permit), pool.circuits.get(permit.tool)
    if full is None and circuit is not None and circuit.state != CircuitState.CLOSED:
        return Ticket(id=permit.pk, granted=False, probe_at=circuit.probe_at)
    limit = full or next((pool.limits[one] for one in permit.limits if one in pool.limits), None)
    patience = limit.escalate_after_seconds if limit is not None else None
    escalate_at = permit.asked_at + dt.timedelta(seconds=patience) if patience is not None else None
    return Ticket(id=permit.pk, granted=False, limit=str(limit or f"tool:{permit.tool}"), escalate_at=escalate_at)
