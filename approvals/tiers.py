"""The stages of a decision: which come, when each opens, and what happens when its time runs out.

Tiers open one after the other, each with its own due and expiry times on the database clock, kept by alarms.
Callers hold the row lock of the decision. A tier whose time runs out never approves anything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from approvals import resolution
from approvals.models import Decision, OnExpiry, Tier, TierState
from approvals.outbound import events
from missions.engine.alarms import set_alarm
from missions.engine.clock import database_now


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPlan:
    """A tier as policy asks for it."""

    group: str
    quorum: int = 1
    sla_seconds: int | None = None
    expires_seconds: int | None = None
    on_expiry: str = OnExpiry.HOLD

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TierPlan:
        """From a ruling's tier: group, and optionally quorum, sla_seconds, expires_seconds, on_expiry."""
        return cls(
            group=data["group"], quorum=max(1, int(data.get("quorum") or 1)), sla_seconds=data.get("sla_seconds"),
            expires_seconds=data.get("expires_seconds"), on_expiry=OnExpiry(data.get("on_expiry") or OnExpiry.HOLD),
        )


# Who answers where policy names nobody, such as for an effect in doubt: someone must, or the mission waits for ever.
FALLBACK = TierPlan(group="operators")


def create(decision: Decision, plans: Iterable[TierPlan]) -> None:
    """Write the tiers of a new decision, in order, and open the first."""
    for order, plan in enumerate(list(plans) or [FALLBACK], start=1):
        Tier.objects.create(
            decision=decision, order=order, group=plan.group, quorum=plan.quorum, sla_seconds=plan.sla_seconds,
            expires_seconds=plan.expires_seconds, on_expiry=plan.on_expiry,
        )
    open_next(decision)


def open_next(decision: Decision) -> Tier | None:
    """Open the first tier that waits, set its alarms, and show its times on the decision; None where none waits."""
    tier = Tier.objects.filter(decision=decision, state=TierState.WAITING).order_by("order").first()
    if tier is None:
        return None
    now = database_now()
    tier.state = TierState.OPEN
    tier.due_at, tier.expires_at = _after(now, tier.sla_seconds), _after(now, tier.expires_seconds)
    tier.save(update_fields=["state", "due_at", "expires_at"])
    decision.due_at, decision.expires_at = tier.due_at or tier.expires_at, tier.expires_at
    decision.claimed_by = decision.claimed_until = None  # the lease was a member's of the tier before
    decision.save(update_fields=["due_at", "expires_at", "claimed_by", "claimed_until"])
    if tier.due_at:
        set_alarm(f"decision.due:{tier.pk}", tier.due_at)
    if tier.expires_at:
        set_alarm(f"decision.expire:{tier.pk}", tier.expires_at)
    return tier


def _after(now: dt.datetime, seconds: int | None) -> dt.datetime | None:
    return now + dt.timedelta(seconds=seconds) if seconds is not None else None


def open_tier(decision: Decision) -> Tier | None:
    """The tier whose turn it is, under its row lock (after the decision's)."""
    return Tier.objects.select_for_update().filter(decision=decision, state=TierState.OPEN).first()


def lapse(decision: Decision) -> bool:
    """Apply what time has done to the open tier; True where something changed.

    Votes and alarms both come through here, under the decision's lock, so that a vote and an expiry have one outcome
    even where no worker rang the alarm yet. May deliver the answer, so nothing may lock a mission after it.
    """
    tier = open_tier(decision) if decision.is_open else None
    if tier is None or tier.expires_at is None or tier.expired_at is not None or tier.expires_at > database_now():
        return False
    tier.expired_at = tier.expires_at
    if tier.on_expiry == OnExpiry.ESCALATE and _escalate(decision, tier):
        resolution.announce(decision)
        return True
    tier.save(update_fields=["expired_at"])
    if tier.on_expiry == OnExpiry.REJECT:
        resolution.expire(decision)
    else:
        resolution.announce(decision)
    return True


def _escalate(decision: Decision, tier: Tier) -> bool:
    """Close this tier for lack of time and open the next; False where there is none: then it is held."""
    if not Tier.objects.filter(decision=decision, state=TierState.WAITING).exists():
        return False
    tier.state = TierState.FAILED
    tier.save(update_fields=["state", "expired_at"])
    open_next(decision)
    events.emit("decision.escalated", decision=decision)
    return True
