"""Limits: setting them, and what each worker knows of them.

A worker asks a `Rules` in its memory, so that what is not limited costs nothing. Changes are announced when they
commit; each worker reads them anew within milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from missions.engine import alarms, feed, stops, tool_forms
from missions.engine.clock import database_now
from missions.engine.stops import Stops
from missions.errors import InvalidInput, UnknownLimit
from missions.models import Circuit, CircuitState, Limit, Mission, PeriodBudget, Permit, Scope, Subject

ALL = "*"
MOST, COUNTED = 1_000_000, 1000
LONGEST_SECONDS = 31 * 86_400.0
NAME_LENGTH = 200
FIELDS = ("concurrency", "rate_count", "rate_seconds", "escalate_after_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A period budget as workers know it: whose use it counts, and what of it."""

    id: int
    subject: str
    subject_name: str
    counts: str
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All limits, stops and period budgets, and the circuits that are not simply closed, as of the last change."""

    limits: Mapping[tuple[str, str], int] = field(default_factory=dict)  # scope and name → id
    concurrency: Mapping[str, int] = field(default_factory=dict)  # of types; `*` is all of them together
    circuits: Mapping[str, str] = field(default_factory=dict)  # tool → state; closed ones had failures lately
    stops: Stops = field(default_factory=Stops)
    budgets: tuple[Kept, ...] = ()
    forms: Mapping[str, str] = field(default_factory=dict)  # tool on a server → digest of the form that is accepted

    def of_call(self, tool: str, agent: str) -> tuple[int, ...]:
        """The limits that a call of this tool in this agent's name (or none's) comes under."""
        if not self.limits:
            return ()
        asked = [(Scope.TOOL, tool), (Scope.TOOL, ALL)]
        asked += [(Scope.AGENT, agent), (Scope.AGENT, ALL)] if agent else []
        return tuple(sorted(self.limits[key] for key in asked if key in self.limits))

    def budgets_of(self, mission_type: str, *, tool: str = "", agent: str = "") -> tuple[Kept, ...]:
        """The period budgets that something done by a mission of this type comes under."""
        mine = {(Subject.ALL, ""), (Subject.TYPE, mission_type), (Subject.TOOL, tool), (Subject.AGENT, agent)}
        return tuple(budget for budget in self.budgets if (budget.subject, budget.subject_name) in mine)

    def is_open(self, tool: str) -> bool:
        """Whether calls of this tool must ask first."""
        return self.circuits.get(tool, CircuitState.CLOSED) != CircuitState.CLOSED


learners: list[Callable[[], object]] = []  # of layers above: they read what is theirs whenever a worker reads its rules


def learn() -> None:
    """Have the layers above read what is theirs."""
    for learner in learners:
        learner()


def load() -> Rules:
    """The rules now. Five statements."""
    rows, stopped = list(Limit.objects.all()), stops.load()
    troubled = Circuit.objects.filter(~Q(state=CircuitState.CLOSED) | Q(failures__gt=0))
    kept = PeriodBudget.objects.order_by("pk").values("id", "subject", "subject_name", "counts", "currency")
    return Rules(
        limits={(row.scope, row.name): row.pk for row in rows},
        concurrency={
            **{row.name: row.concurrency or 0 for row in rows if row.scope == Scope.TYPE},
            **dict.fromkeys(stopped.types, 0),
        },
        circuits=dict(troubled.values_list("tool", "state")), stops=stopped,
        budgets=tuple(Kept(**row) for row in kept), forms=tool_forms.accepted(),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """A limit with how much goes on and waits under it; all columns of its row are its own."""

    row: Limit
    under_way: int
    waiting: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.row, name)


def told(rows: Iterable[Limit]) -> list[Told]:
    """Limits with what goes on under them now. Two statements each."""
    return [Told(row, *_load(row)) for row in rows]


def _load(limit: Limit) -> tuple[int, int]:
    if limit.scope != Scope.TYPE:
        under = Permit.objects.filter(limits__contains=[limit.pk])
        return under.filter(granted_at__isnull=False).count(), under.filter(granted_at=None)[:COUNTED].count()
    missions = Mission.objects.all() if limit.name == ALL else Mission.objects.filter(type=limit.name)
    due = missions.filter(owner=None, wake_at__lte=database_now())
    return missions.filter(owner__isnull=False).count(), due[:COUNTED].count()


# -- Setting -----------------------------------------------------------------------------------------------------------


def put(scope: str, name: str, *, by: str = "", **values: Any) -> Limit:
    """Set the limit of this scope and name, anew or over the old one; what is not given is not limited.

    `concurrency` calls or missions at once, `rate_count` calls in `rate_seconds`. Own transaction. Raises InvalidInput.
    """
    _check(scope, name, values)
    with transaction.atomic():
        limit, _ = Limit.objects.select_for_update().update_or_create(
            scope=scope, name=name, defaults=_columns(values, by),
        )
        _announce(limit)
    return limit


def add(scope: str, name: str, *, by: str = "", **values: Any) -> Limit:
    """Like `put`, for a limit that there is not yet. Raises InvalidInput."""
    _check(scope, name, values)
    try:
        with transaction.atomic():
            limit = Limit.objects.create(scope=scope, name=name, **_columns(values, by))
            _announce(limit)
    except IntegrityError as error:
        errors = [{"field": "name", "message": "There is a limit of this scope and name already."}]
        raise InvalidInput("The limit can not be set.", errors=errors) from error
    return limit


def change(limit_id: int, *, by: str = "", **values: Any) -> Limit:
    """Change some of a limit's values. Own transaction. Raises UnknownLimit, InvalidInput."""
    with transaction.atomic():
        limit = Limit.objects.select_for_update().filter(pk=limit_id).first()
        if limit is None:
            raise UnknownLimit
        merged = {name: values.get(name, getattr(limit, name)) for name in FIELDS}
        _check(limit.scope, limit.name, merged)
        columns = _columns(merged, by)
        Limit.objects.filter(pk=limit_id).update(**columns)
        _announce(limit)
    limit.refresh_from_db()
    return limit


def drop(limit_id: int) -> None:
    """Lift a limit; whoever waits for it goes on. Own transaction. Raises UnknownLimit."""
    with transaction.atomic():
        limit = Limit.objects.select_for_update().filter(pk=limit_id).first()
        if limit is None:
            raise UnknownLimit
        limit.delete()
        limit.pk = limit_id
        _announce(limit)


def _columns(values: dict[str, Any], by: str) -> dict[str, Any]:
    """The columns of a limit; its bucket is full when it is set."""
    now = database_now()
    given = {name: values.get(name) for name in FIELDS}
    return {**given, "tokens": given["rate_count"] or 0, "refilled_at": now, "changed_by": by, "changed_at": now}


def _announce(limit: Limit) -> None:
    """Workers learn of it, and whoever waits for it is looked at again."""
    if limit.scope != Scope.TYPE:
        alarms.set_alarm(f"permits:limit:{limit.pk}", database_now())
    feed.announce_rules()
    feed.announce_due()


def _check(scope: str, name: str, values: dict[str, Any]) -> None:
    errors: list[dict[str, Any]] = []

    def wrong(where: str, message: str) -> None:
        errors.append({"field": where, "message": message})

    if scope not in Scope.values:
        wrong("scope", f"One of {', '.join(Scope.values)}.")
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable() or (ALL in name and name != ALL):
        wrong("name", f"A name of 1 to {NAME_LENGTH} printable characters, or * alone.")
    _check_numbers(values, wrong)
    rate, seconds = values.get("rate_count"), values.get("rate_seconds")
    if (rate is None) is not (seconds is None):
        wrong("rate_seconds", "A rate wants both: so many calls in so many seconds.")
    if scope == Scope.TYPE and rate is not None:
        wrong("rate_count", "A type is limited by how many run at once; rates are for tools and agents.")
    if values.get("concurrency") is None and rate is None:
        wrong("concurrency", "Give a concurrency, a rate, or both.")
    if errors:
        raise InvalidInput("The limit can not be set.", errors=errors)


def _check_numbers(values: dict[str, Any], wrong: Any) -> None:
    for where, low in (("concurrency", 0), ("rate_count", 1)):
        if (number := values.get(where)) is not None and not low <= number <= MOST:
            wrong(where, f"Between {low} and {MOST}.")
    for where in ("rate_seconds", "escalate_after_seconds"):
        if (span := values.get(where)) is not None and not 0 < span <= LONGEST_SECONDS:
            wrong(where, f"More than 0 and at most {LONGEST_SECONDS:.0f} seconds.")
