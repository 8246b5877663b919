"""What workers do for decisions when a time comes. Registered by `ApprovalsConfig.ready`.

Handlers run inside the transaction that marks the alarm as rung, and may run again: each looks at the rows first.
Neither approves anything.
"""

from __future__ import annotations

import datetime as dt

from approvals import resolution, tiers
from approvals.models import Decision, Tier, TierState
from approvals.outbound import events
from missions.engine import alarms


@alarms.handler("decision.due")
def due(subject: str, nominal_at: dt.datetime) -> None:
    """A tier is overdue: those who watch the queue see it again, and its voters are told. Changes nothing."""
    tier = Tier.objects.select_related("decision").filter(pk=subject, state=TierState.OPEN).first()
    if tier is not None and tier.due_at == nominal_at:
        resolution.announce(tier.decision)
        events.emit("decision.overdue", decision=tier.decision)


@alarms.handler("decision.expire")
def expire(subject: str, nominal_at: dt.datetime) -> None:
    """A tier's time is over: expire, escalate or hold, unless a vote was first under the same lock."""
    decision_id = Decision.objects.filter(tiers__pk=subject).values_list("pk", flat=True).first()
    decision = resolution.locked(decision_id) if decision_id else None
    if decision is not None and Tier.objects.filter(pk=subject, state=TierState.OPEN).exists():
        tiers.lapse(decision)
