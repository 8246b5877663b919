"""What workers do for decisions when a time comes. Registered by `ApprovalsConfig.ready`.

Handlers run inside the transaction that marks the alarm as rung, and may run again: each looks at the rows first.
None approves anything.
"""

from __future__ import annotations

import datetime as dt
import uuid

from approvals import holding, refreshing, resolution, tiers
from approvals.models import Decision, DecisionKind, Tier, TierState
from missions.engine import alarms

REFRESHED = 10_000  # open decisions that one change of policy brings up to date; the look before dispatch does the rest


@alarms.handler("decision.due")
def due(subject: str, nominal_at: dt.datetime) -> None:
    """A tier is overdue: those who watch the queue see it again; reminders tell its voters. Changes nothing."""
    tier = Tier.objects.select_related("decision").filter(pk=subject, state=TierState.OPEN).first()
    if tier is not None and tier.due_at == nominal_at:
        resolution.announce(tier.decision)


@alarms.handler("decision.refresh")
def refresh(subject: str, nominal_at: dt.datetime) -> None:
    """Policy has changed: bring one open decision up to date, or (`all`) have that done for each about an action."""
    if subject != "all":
        refreshing.refresh(uuid.UUID(subject))
        return
    alarms.forget_rung("decision.refresh:all", nominal_at)
    asked = Decision.objects.open().filter(kind=DecisionKind.ACTION, mission__isnull=False)
    for pk in asked.order_by("opened_at").values_list("pk", flat=True)[:REFRESHED]:
        alarms.set_alarm(f"decision.refresh:{pk}", nominal_at)


@alarms.handler("decision.expire")
def expire(subject: str, nominal_at: dt.datetime) -> None:
    """A tier's time is over: expire, escalate or hold, unless a vote was first under the same lock."""
    decision_id = Decision.objects.filter(tiers__pk=subject).values_list("pk", flat=True).first()
    decision = resolution.locked(decision_id) if decision_id else None
    if decision is not None and Tier.objects.filter(pk=subject, state=TierState.OPEN).exists():
        tiers.lapse(decision)


@alarms.handler("decision.release")
def release(subject: str, nominal_at: dt.datetime) -> None:
    """An approval has been held for long enough: its mission is told, unless it was undone under the same lock."""
    holding.release(uuid.UUID(subject))
