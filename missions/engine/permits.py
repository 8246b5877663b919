"""Permits: who may make a limited call now, and in which order the others follow.

A permit belongs to a mission and a key path; asking again is the same permit, so it survives a takeover. Whoever gets
none waits in the queue, by priority and then age, and is woken by a signal `permit:ID`: nobody polls. What can change
by time alone (a rate, a probe, a holder that is gone) is an alarm.

Lock order: limits by id, circuits by tool, permits, and last the missions that are woken, by id (docs/locking.md).
A permit is void when its mission ended or is paused, or is parked, or leaves it unused for `UNUSED` after its worker
died: so none is held for ever.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from missions.engine import alarms, feed, mailbox
from missions.engine.clock import database_now
from missions.errors import MissionEnded, UnknownMission
from missions.models import ENDED, Circuit, CircuitState, Limit, Mission, Permit, State

WINDOW = 500  # of the queue that is looked at in one go
UNUSED = dt.timedelta(seconds=10)
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


@dataclass(slots=True)
class Pool:
    """The locked limits and circuits, and what is left of them."""

    now: dt.datetime
    ids: set[int]  # of limits looked at, lifted ones included
    tools: set[str]
    limits: dict[int, Limit]
    circuits: dict[str, Circuit]
    room: dict[int, int] = field(default_factory=dict)
    wakes: int = 0
    changed: list[Circuit] = field(default_factory=list)

    def knows(self, permit: Permit) -> bool:
        """Whether all that this permit wants is locked; else another look is concerned with it."""
        return permit.tool in self.tools and self.ids.issuperset(permit.limits)

    def full(self, permit: Permit) -> Limit | None:
        """The first limit that keeps this permit waiting."""
        known = (self.limits[limit] for limit in permit.limits if limit in self.limits)
        return next((one for one in known if self.room[one.pk] < 1 or (one.rate_count and one.tokens < 1)), None)

    def lets_through(self, permit: Permit) -> bool:
        """Whether the tool's circuit lets this call through, be it as its probe."""
        circuit = self.circuits.get(permit.tool)
        if circuit is None or circuit.state == CircuitState.CLOSED:
            return True
        if circuit.state == CircuitState.HALF_OPEN:
            return circuit.probe == permit.pk
        return circuit.probe_at is not None and circuit.probe_at <= self.now

    def take(self, permit: Permit) -> None:
        """Use up a place and a token of each limit; a circuit that is not closed takes the call as its probe."""
        for limit in (self.limits[one] for one in permit.limits if one in self.limits):
            self.room[limit.pk] -= 1
            limit.tokens -= 1 if limit.rate_count else 0
        circuit = self.circuits.get(permit.tool)
        if circuit is not None and circuit.state == CircuitState.OPEN:
            circuit.state, circuit.probe = CircuitState.HALF_OPEN, permit.pk
            self.changed.append(circuit)


# -- The verbs ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def acquire(ask: Ask) -> Ticket:
    """Ask for a call's permit, or for what became of an earlier request. Own transaction."""
    pool = _locked(ask.limits, [ask.tool])
    priority = Mission.objects.values_list("priority", flat=True).get(pk=ask.mission_id)
    mine = {"attempt": ask.attempt, "tool": ask.tool, "limits": list(ask.limits), "suspect_at": None}
    permit, _ = Permit.objects.update_or_create(
        mission_id=ask.mission_id, path=ask.path, defaults=mine,
        create_defaults={**mine, "priority": priority, "asked_at": pool.now},
    )
    if permit.granted_at is None:
        granted = _grant(pool, _queue(pool))
        permit.granted_at = pool.now if permit.pk in granted else None
        _look_again(pool)
        _wake(pool, (one for one in granted.values() if one.pk != permit.pk))
    if permit.granted_at is not None:
        Permit.objects.filter(pk=permit.pk).update(taken=True)
    return _ticket(pool, permit)


@transaction.atomic
def give_back(mission_id: int, path: str, limits: Sequence[int], tool: str) -> None:
    """The call is over: its permit goes to the next in the queue. Nothing happens where there is none."""
    _settled(_locked(limits, [tool]), drop=Permit.objects.filter(mission_id=mission_id, path=path))


@alarms.handler("permits")
@transaction.atomic
def settle(subject: str, nominal_at: dt.datetime) -> None:
    """Look at the queue of `limit:ID` or `tool:NAME`: take back what is void, grant what there is room for."""
    scope, _, name = subject.partition(":")
    limits, tools = ([int(name)], []) if scope == "limit" else ([], [name])
    alarms.forget_rung(f"permits:{subject}", nominal_at)
    pool = _locked(limits, tools)
    _settled(pool, drop=_void(pool, limits, tools))


def _settled(pool: Pool, drop: QuerySet[Permit]) -> None:
    drop.delete()
    _revive_probes(pool)
    _count(pool)
    granted = _grant(pool, _queue(pool))
    _look_again(pool)
    _wake(pool, granted.values())


# -- Looking -----------------------------------------------------------------------------------------------------------


def _touching(limits: Iterable[int], tools: Iterable[str]) -> Q:
    return Q(limits__overlap=list(limits)) | Q(tool__in=list(tools))


def _locked(limits: Iterable[int], tools: Iterable[str]) -> Pool:
    """Lock these limits and circuits, and those that the queue behind them wants as well."""
    limits, tools = set(limits), set(tools)
    waiting = Permit.objects.filter(_touching(limits, tools), granted_at=None).order_by("-priority", "pk")
    for wanted, tool in waiting.values_list("limits", "tool")[:WINDOW]:
        limits.update(wanted)
        tools.add(tool)
    rows = Limit.objects.select_for_update().filter(pk__in=limits).order_by("pk")
    circuits = Circuit.objects.select_for_update().filter(tool__in=tools).order_by("tool")
    locked = {row.pk: row for row in rows}
    found = {row.tool: row for row in circuits}
    pool = Pool(now=database_now(), ids=limits, tools=tools, limits=locked, circuits=found)
    for limit in locked.values():
        _refill(limit, pool.now)
    _count(pool)
    return pool


def _refill(limit: Limit, now: dt.datetime) -> None:
    """The bucket holds at most one period's calls."""
    if limit.rate_count and limit.rate_seconds:
        passed = max(0.0, (now - limit.refilled_at).total_seconds())
        limit.tokens = min(float(limit.rate_count), limit.tokens + passed * limit.rate_count / limit.rate_seconds)
        limit.refilled_at = now


def _count(pool: Pool) -> None:
    """How many calls each limit leaves room for."""
    held = Permit.objects.filter(granted_at__isnull=False)
    for limit in pool.limits.values():
        if limit.concurrency is None:
            pool.room[limit.pk] = WINDOW
        else:
            pool.room[limit.pk] = limit.concurrency - held.filter(limits__contains=[limit.pk]).count()


def _queue(pool: Pool) -> list[Permit]:
    """The head of the queue behind what is locked."""
    waiting = Permit.objects.filter(_touching(pool.ids, pool.tools), granted_at=None)
    return [row for row in waiting.order_by("-priority", "pk")[:WINDOW] if pool.knows(row)]


def _void(pool: Pool, limits: Sequence[int], tools: Sequence[str]) -> QuerySet[Permit]:
    """The permits that nobody will use; marks those that nobody seems to use."""
    touching = Permit.objects.filter(_touching(limits, tools))
    held, queued = touching.filter(granted_at__isnull=False), touching.filter(granted_at=None)
    rows = [*held, *queued.order_by("-priority", "pk")[:WINDOW]]
    missions = Mission.objects.only("state", "owner", "attempt", "wake_at").in_bulk({row.mission_id for row in rows})
    judged = {row.pk: _judge(row, missions.get(row.mission_id), pool.now) for row in rows}
    marks = {"suspect": pool.now, "fine": None}
    for word, at in marks.items():
        changed = [row.pk for row in rows if judged[row.pk] == word and bool(row.suspect_at) is not bool(at)]
        Permit.objects.filter(pk__in=changed).update(suspect_at=at)
    return Permit.objects.filter(pk__in=[pk for pk, word in judged.items() if word == "void"])


def _judge(permit: Permit, mission: Mission | None, now: dt.datetime) -> str:
    """fine, suspect or void."""
    if mission is None or mission.state in (*ENDED, State.PAUSED):
        return "void"
    if permit.granted_at is None:
        return "fine"
    if mission.owner is None and (mission.wake_at is None or mission.wake_at > now):
        return "void"  # a parked mission makes no call
    if permit.taken and mission.owner is not None and mission.attempt == permit.attempt:
        return "fine"
    return "void" if permit.suspect_at and permit.suspect_at <= now - UNUSED else "suspect"


def _revive_probes(pool: Pool) -> None:
    """A probe that will never be made is chosen anew."""
    probes = [circuit for circuit in pool.circuits.values() if circuit.state == CircuitState.HALF_OPEN]
    alive = set(Permit.objects.filter(pk__in=[one.probe for one in probes]).values_list("pk", flat=True))
    for circuit in probes:
        if circuit.probe not in alive:
            circuit.state, circuit.probe, circuit.probe_at = CircuitState.OPEN, None, pool.now
            circuit.save()


# -- Granting ----------------------------------------------------------------------------------------------------------


def _grant(pool: Pool, queue: Sequence[Permit]) -> dict[int, Permit]:
    """Grant what there is room for, in the queue's order; the granted, by id."""
    granted: dict[int, Permit] = {}
    for permit in queue:
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
    for row in rows:
        try:
            mailbox.deliver(row.mission_id, f"permit:{row.pk}", {"path": row.path}, sender="limits")
        except (MissionEnded, UnknownMission):
            idle.add(row.pk)  # the next look grants its place
    if idle:
        Permit.objects.filter(pk__in=idle).delete()


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
