"""Factories of decisions: a mission that waits, what it asks, and the decision in the queue."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from typing import Any

from django.contrib.auth.models import User

from approvals import queue
from approvals.models import Decision
from missions.governance import (
    Choice,
    DecisionRequest,
    EffectClass,
    Intent,
    RetrySafety,
    Ruling,
    RulingOutcome,
)
from missions.models import Brief, Mission, Signal, State

SUPERVISORS = {"group": "supervisors", "quorum": 1, "sla_seconds": 3600, "expires_seconds": None, "on_expiry": "hold"}
FINANCE = {"group": "finance", "quorum": 1, "sla_seconds": 7200, "expires_seconds": None, "on_expiry": "hold"}
IN_DOUBT = (
    Choice(value="happened", label="It happened"), Choice(value="retry", label="It did not happen: try again"),
    Choice(value="roll_back", label="Stop and roll back"),
)
_count = itertools.count(1)


def waiting_mission(started_by: User | None = None, **fields: Any) -> Mission:
    """A mission of attempt 1 that runs, as it is when it asks."""
    values = {"type": "refund", "version": 1, "state": State.RUNNING, "attempt": 1, **fields}
    mission = Mission.objects.create(**values)
    Brief.objects.create(mission=mission, title=f"Refund {next(_count)}", started_by=started_by, started_via="api")
    return mission


def intent_of(mission: Mission, **fields: Any) -> Intent:
    """An intent to pay money back."""
    values = {
        "tool": "payments.refund", "args": {"order_id": "ORD-1001", "amount": "900.00", "currency": "GBP"},
        "effect_class": EffectClass.WRITE, "retry_safety": RetrySafety.KEYED, "reversible": True,
        "owner_id": mission.brief.started_by_id, "mission_uid": mission.uid, "mission_type": mission.type,
        "mission_title": mission.brief.title, **fields,
    }  # fmt: skip
    return Intent(**values)


def request_of(
    mission: Mission, *tiers: dict[str, Any], path: str = "", intent: Any = None, **fields: Any
) -> DecisionRequest:
    """What a mission asks; tiers default to the supervisors, `path` is where it asks."""
    wanted = intent or intent_of(mission)
    ruling = Ruling(
        outcome=RulingOutcome.ESCALATE, reason="A refund moves money.", policy_version="refunds v1",
        rules=("small-refund",), tiers=tiers or (SUPERVISORS,),
    )
    values: dict[str, Any] = {
        "id": uuid.uuid4(), "kind": "action", "mission_id": mission.pk, "attempt": mission.attempt,
        "timeline": mission.timeline, "sentence": "Refund £900.00 to A. Patel for order ORD-1001", "ruling": ruling,
        "digest": hashlib.sha256(repr(sorted(wanted.args.items())).encode()).hexdigest(), **fields,
    }  # fmt: skip
    if path:
        values["facts"] = {**values.get("facts", {}), "path": path}
    return DecisionRequest(intent=wanted, **values)


def opened(mission: Mission, *tiers: dict[str, Any], **fields: Any) -> Decision:
    """An open decision of this mission."""
    request = request_of(mission, *tiers, **fields)
    assert queue.open_decision(request) is None
    return Decision.objects.get(pk=request.id)


def in_doubt(mission: Mission, **fields: Any) -> Decision:
    """An open question whether an effect happened."""
    ruling = Ruling(outcome=RulingOutcome.ESCALATE, reason="The connection was lost after sending.")
    wanted = {"kind": "in_doubt", "choices": IN_DOUBT, "ruling": ruling, "facts": {"why": "time-out"}, **fields}
    return opened(mission, **wanted)


def answers(decision: Decision) -> list[Signal]:
    """What was delivered to the mission for this decision."""
    return list(Signal.objects.filter(mission_id=decision.mission_id, name=f"decision:{decision.pk}"))
