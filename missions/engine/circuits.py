"""The circuit of each tool: what opens it, what closes it, and who says so.

Calls without an answer in a row open it, over all workers; then calls wait, but for one probe at a time
(`missions.engine.permits` chooses it). An answer closes it, also a declared refusal: the server lives.
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from missions.engine import alarms, feed
from missions.engine.clock import database_now
from missions.models import Circuit, CircuitChange, CircuitState, Permit

LONGEST_SECONDS = 600.0


@transaction.atomic
def failed(tool: str, mission_id: int, path: str, why: str) -> bool:
    """A call got no answer: count it; the last straw, or a failed probe, opens the circuit. Own transaction.

    Whether the circuit is open now.
    """
    Circuit.objects.bulk_create([Circuit(tool=tool)], ignore_conflicts=True)
    circuit, now = Circuit.objects.select_for_update().get(tool=tool), database_now()
    quiet = dt.timedelta(seconds=settings.MISSIONS_BREAKER_WINDOW_SECONDS)
    fresh = circuit.failed_at is not None and now - circuit.failed_at <= quiet
    circuit.failures, circuit.failed_at = circuit.failures + 1 if fresh else 1, now
    if circuit.state == CircuitState.HALF_OPEN and _probes(circuit, mission_id, path):
        _open(circuit, now, _longer(circuit.open_seconds), why)
    elif circuit.state == CircuitState.CLOSED and circuit.failures >= settings.MISSIONS_BREAKER_FAILURES:
        _open(circuit, now, settings.MISSIONS_BREAKER_SECONDS, why)
    circuit.save()
    feed.announce_rules()
    return circuit.state != CircuitState.CLOSED


def _longer(seconds: float) -> float:
    return min(max(seconds * 2, settings.MISSIONS_BREAKER_SECONDS), LONGEST_SECONDS)


def _probes(circuit: Circuit, mission_id: int, path: str) -> bool:
    """Whether this very call is the probe; stragglers from before the opening judge nothing."""
    calls = Permit.objects.filter(mission_id=mission_id, path=path)
    return circuit.probe is not None and calls.filter(pk=circuit.probe).exists()


def _open(circuit: Circuit, now: dt.datetime, seconds: float, why: str) -> None:
    if circuit.state == CircuitState.CLOSED:
        circuit.since = now
        CircuitChange.objects.create(tool=circuit.tool, state=CircuitState.OPEN, reason=why[:500])
    circuit.state, circuit.probe, circuit.reason = CircuitState.OPEN, None, why[:500]
    circuit.open_seconds, circuit.probe_at = seconds, now + dt.timedelta(seconds=seconds)
    alarms.set_alarm(f"permits:tool:{circuit.tool}", circuit.probe_at)


@transaction.atomic
def answered(tool: str) -> None:
    """A call got an answer: close the circuit, unless a person holds it open, and let who waits go on."""
    circuit = Circuit.objects.select_for_update().filter(tool=tool).first()
    if circuit is None or (circuit.state == CircuitState.OPEN and circuit.probe_at is None):
        return
    _close(circuit, "The tool answers again.", "")


def _close(circuit: Circuit, why: str, by: str) -> None:
    now = database_now()
    if circuit.state != CircuitState.CLOSED:
        circuit.since = now
        CircuitChange.objects.create(tool=circuit.tool, state=CircuitState.CLOSED, reason=why, changed_by=by)
    circuit.state, circuit.failures, circuit.probe, circuit.probe_at = CircuitState.CLOSED, 0, None, None
    circuit.open_seconds, circuit.reason = 0, ""
    circuit.save()
    alarms.set_alarm(f"permits:tool:{circuit.tool}", now)
    feed.announce_rules()


@transaction.atomic
def probe_soon() -> None:
    """Let the next call of each tool whose circuit is not closed probe at once: people say that an outage is over.

    A probe under way was begun before they said so: it may still close the circuit, and its failure counts for nothing.
    A circuit that a person holds open stays as it is. Own transaction.
    """
    now = database_now()
    asleep = Q(state=CircuitState.OPEN, probe_at__gt=now) | Q(state=CircuitState.HALF_OPEN)
    for circuit in Circuit.objects.select_for_update().filter(asleep).order_by("tool"):
        circuit.state, circuit.probe, circuit.probe_at, circuit.open_seconds = CircuitState.OPEN, None, now, 0
        circuit.save()
        alarms.set_alarm(f"permits:tool:{circuit.tool}", now)
    feed.announce_rules()


# -- By hand -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def open_by_hand(tool: str, *, by: str, reason: str = "") -> None:
    """Hold a tool's calls until a person closes the circuit; calls under way go on. Recorded. Own transaction."""
    Circuit.objects.bulk_create([Circuit(tool=tool)], ignore_conflicts=True)
    circuit = Circuit.objects.select_for_update().get(tool=tool)
    circuit.since, circuit.state, circuit.probe, circuit.probe_at = database_now(), CircuitState.OPEN, None, None
    circuit.reason = reason[:500] or f"Opened by {by}."
    circuit.save()
    CircuitChange.objects.create(tool=tool, state=CircuitState.OPEN, reason=reason[:500], changed_by=by)
    feed.announce_rules()


@transaction.atomic
def close_by_hand(tool: str, *, by: str, reason: str = "") -> None:
    """Let a tool's calls go through; whoever waits goes on, throttled. Recorded. Own transaction."""
    circuit = Circuit.objects.select_for_update().filter(tool=tool).first()
    if circuit is not None:
        _close(circuit, reason[:500], by)
