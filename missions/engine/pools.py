"""Pools: the limits and circuits that a look at the queue has locked, what room they have, and who waits behind them.

Locks limits by id, then circuits by tool. Judges which permits nobody will use any more. Grants nothing itself
(`missions.engine.permits` does).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet

from missions.engine.clock import database_now
from missions.models import ENDED, Circuit, CircuitState, Limit, Mission, Permit, State

WINDOW = 500  # of the queue that is looked at in one go
UNUSED = dt.timedelta(seconds=10)


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


def _touching(limits: Iterable[int], tools: Iterable[str]) -> Q:
    return Q(limits__overlap=list(limits)) | Q(tool__in=list(tools))


def locked(limits: Iterable[int], tools: Iterable[str]) -> Pool:
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
    count(pool)
    return pool


def _refill(limit: Limit, now: dt.datetime) -> None:
    """The bucket holds at most one period's calls."""
    if limit.rate_count and limit.rate_seconds:
        passed = max(0.0, (now - limit.refilled_at).total_seconds())
        limit.tokens = min(float(limit.rate_count), limit.tokens + passed * limit.rate_count / limit.rate_seconds)
        limit.refilled_at = now


def count(pool: Pool) -> None:
    """How many calls each limit leaves room for."""
    held = Permit.objects.filter(granted_at__isnull=False)
    for limit in pool.limits.values():
        if limit.concurrency is None:
            pool.room[limit.pk] = WINDOW
        else:
            pool.room[limit.pk] = limit.concurrency - held.filter(limits__contains=[limit.pk]).count()


def queue(pool: Pool) -> list[Permit]:
    """The head of the queue behind what is locked."""
    waiting = Permit.objects.filter(_touching(pool.ids, pool.tools), granted_at=None)
    return [row for row in waiting.order_by("-priority", "pk")[:WINDOW] if pool.knows(row)]


def void(pool: Pool, limits: Sequence[int], tools: Sequence[str]) -> QuerySet[Permit]:
    """The permits that nobody will use; marks those that nobody seems to use."""
    touching = Permit.objects.filter(_touching(limits, tools))
    held, queued = touching.filter(granted_at__isnull=False), touching.filter(granted_at=None)
    rows = [*held, *queued.order_by("-priority", "pk")[:WINDOW]]
    columns = ("state", "owner", "attempt", "wake_at", "control_seq", "control_done")
    missions = Mission.objects.only(*columns).in_bulk({row.mission_id for row in rows})
    judged = {row.pk: _judge(row, missions.get(row.mission_id), pool.now) for row in rows}
    marks = {"suspect": pool.now, "fine": None}
    for word, at in marks.items():
        changed = [row.pk for row in rows if judged[row.pk] == word and bool(row.suspect_at) is not bool(at)]
        Permit.objects.filter(pk__in=changed).update(suspect_at=at)
    return Permit.objects.filter(pk__in=[pk for pk, word in judged.items() if word == "void"])


def _judge(permit: Permit, mission: Mission | None, now: dt.datetime) -> str:
    """fine, suspect or void."""
    if mission is None or (mission.state in (*ENDED, State.PAUSED) and mission.control_seq <= mission.control_done):
        return "void"  # unless a control's own calls wait meanwhile
    if permit.granted_at is None:
        return "fine"
    if mission.owner is None and (mission.wake_at is None or mission.wake_at > now):
        return "void"  # a parked mission makes no call
    if permit.taken and mission.owner is not None and mission.attempt == permit.attempt:
        return "fine"
    return "void" if permit.suspect_at and permit.suspect_at <= now - UNUSED else "suspect"


def revive_probes(pool: Pool) -> None:
    """A probe that will never be made is chosen anew."""
    probes = [circuit for circuit in pool.circuits.values() if circuit.state == CircuitState.HALF_OPEN]
    alive = set(Permit.objects.filter(pk__in=[one.probe for one in probes]).values_list("pk", flat=True))
    for circuit in probes:
        if circuit.probe not in alive:
            circuit.state, circuit.probe, circuit.probe_at = CircuitState.OPEN, None, pool.now
            circuit.save()
