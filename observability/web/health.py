"""Whether the process lives and whether the system can work, for supervisors and load balancers; open to everybody.

Tells no secrets: names of checks, and what to do. Must not touch sessions.
"""

from __future__ import annotations

import functools

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from missions.engine import freezing
from missions.models import Mission, State
from observability.tasks import living_workers


@require_safe
@never_cache
def alive(request: HttpRequest) -> JsonResponse:
    """200 while the process answers; asks nothing of the database."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, is migrated, and a mission worker lives; else 503 and what is missing."""
    faults = _faults()
    checks = {name: faults.get(name, "ok") for name in ("database", "migrations", "workers")}
    body = {"status": "unavailable" if faults else "ok", "checks": checks, **({} if faults else _attention())}
    response = JsonResponse(body, status=503 if faults else 200)
    response._has_been_logged = True  # type: ignore[attr-defined]  # it is asked every few seconds: no error a time
    return response


def _faults() -> dict[str, str]:
    """What is wrong, by check; a later check is not made where an earlier one fails."""
    try:
        missing = _unapplied()
        if missing:
            return {"migrations": f"{missing} not applied: run `manage.py migrate`", "workers": "not checked"}
        known, late = living_workers()
    except DatabaseError:
        return {"database": "does not answer", "migrations": "not checked", "workers": "not checked"}
    return {} if known > late else {"workers": "none is alive: run `manage.py runmissions`"}


def _attention() -> dict[str, object]:
    """What needs a person, and no load balancer: a freeze, and missions in quarantine."""
    frozen = freezing.current()
    paused = Mission.objects.filter(state=State.PAUSED, reason="quarantined").count()
    return {"frozen": frozen.why if frozen else "", "quarantined": paused}


def _unapplied() -> int:
    """How many migrations the code has and the database has not."""
    return len(_known_to_code() - set(MigrationRecorder(connection).applied_migrations()))


@functools.cache
def _known_to_code() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations or ())
