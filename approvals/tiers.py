"""The stages of a decision: which tiers come, when each opens, when it is met, and what happens when its time runs out.

Tiers of one stage are open at once, each with its own due and expiry times on the database clock, kept by alarms; the
next stage opens when all of them are closed. Callers hold the row lock of the decision. A tier whose time runs out
never approves anything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db.models import Min, QuerySet, Subquery

from approvals import audience, quorum, resolution, resolving, scheduling
from approvals.models import Decision, OnExpiry, Tier, TierApprover, TierState
from approvals.models.tier import TierQuerySet
from approvals.outbound import events
from approvals.plans import TierPlan as TierPlan
from approvals.plans import apart, stages
from approvals.roll import Roll
from missions.engine.clock import database_now

# Who answers where policy names nobody, such as for an effect in doubt: someone must, or the mission waits for ever.
FALLBACK = TierPlan(group="operators")


def create(decision: Decision, plans: Iterable[TierPlan]) -> None:
    """Write the tiers of a new decision, in order, and open those of the first stage."""
    write(decision, plans)
    open_next(decision)


def write(decision: Decision, plans: Iterable[TierPlan]) -> list[Tier]:
    """Write the tiers and their seats, all of them waiting."""
    asked = list(plans) or [FALLBACK]
    each = zip(asked, stages(asked), strict=True)
    written = [
        add(decision, plan, order=index + 1, stage=stage, others=apart(asked, index))
        for index, (plan, stage) in enumerate(each)
    ]
    audience.refresh(decision)
    return written


def add(decision: Decision, plan: TierPlan, *, order: int, stage: int, others: list[int]) -> Tier:
    """Write one tier that waits; `others` are the orders of the tiers that need other people."""
    tier = Tier.objects.create(
        decision=decision, order=order, stage=stage, name=plan.label, group=plan.only_group, quorum=plan.need,
        all_of=plan.all_of, apart=others, calendar=plan.calendar, sla_seconds=plan.sla_seconds,
        distinct_from=None if plan.distinct_from is None else list(plan.distinct_from),
        expires_seconds=plan.expires_seconds, on_expiry=plan.on_expiry,
    )
    for position, spec in enumerate(plan.seats):
        seat = TierApprover(tier=tier, decision=decision, position=position, spec=spec.as_json(), group=spec.group)
        seat.save()
        if spec.person:
            resolving.seat(decision, seat)
    return tier


def open_next(decision: Decision) -> list[Tier]:
    """Open the first stage that waits and show its times on the decision; none where none waits."""
    waiting = Tier.objects.filter(decision=decision, state=TierState.WAITING)
    stage = waiting.aggregate(first=Min("stage"))["first"]
    opened = [open_one(tier) for tier in waiting.filter(stage=stage).order_by("order")] if stage is not None else []
    if opened:
        resolving.look_again(decision)
        decision.claimed_by = decision.claimed_until = None  # the lease was a member's of the tier before
        show_times(decision)
    return opened


def open_one(tier: Tier) -> Tier:
    """Open a tier and all its seats, and start its clock."""
    tier.state = TierState.OPEN
    scheduling.start_clock(tier, database_now())
    tier.save()
    tier.approvers.update(open=True)
    return tier


def begin_again(asked: TierQuerySet) -> None:
    """Let these tiers wait once more, with their time anew; `open_next` opens the first of them."""
    keys = list(asked.values_list("pk", flat=True))
    Tier.objects.filter(pk__in=keys).close(TierState.WAITING)
    gone = {"due_at": None, "expires_at": None, "expired_at": None, "remind_at": None, "reminded_at": None}
    Tier.objects.filter(pk__in=keys).update(**gone, overdue_told_at=None)


def show_times(decision: Decision) -> None:
    """Show on the decision when the first of its open tiers is due, and when the first expires."""
    tiers = list(Tier.objects.filter(decision=decision, state=TierState.OPEN))
    due = [at for tier in tiers if (at := tier.due_at or tier.expires_at) is not None]
    expires = [tier.expires_at for tier in tiers if tier.expires_at is not None]
    decision.due_at, decision.expires_at = min(due, default=None), min(expires, default=None)
    decision.save(update_fields=["due_at", "expires_at", "claimed_by", "claimed_until"])


def open_tiers(decision: Decision) -> list[Tier]:
    """The tiers whose turn it is, in order, under their row locks (after the decision's)."""
    return list(Tier.objects.select_for_update().filter(decision=decision, state=TierState.OPEN).order_by("order"))


def advance(decision: Decision) -> bool:
    """Close the tiers that the votes of now have met, and open what comes next; True where nothing is left to ask."""
    while True:
        if not Tier.objects.filter(decision=decision, state=TierState.OPEN).exists() and not open_next(decision):
            return True
        if not _close_met(decision):
            show_times(decision)
            return False


def loaded(decision: Decision) -> Decision:
    """The decision as it is in the database now, with its tiers, seats and votes."""
    rows = Decision.objects.select_related("mission__brief")
    return rows.prefetch_related("tiers__approvers", "votes__voter").get(pk=decision.pk)


def _close_met(decision: Decision) -> bool:
    """Close the open tiers that no further vote would help, and seats likewise; whether no tier is open any more.

    A tier stays open while one of its votes could answer another one instead: then who can vote only here helps too.
    """
    fresh = loaded(decision)
    helpful = quorum.tally(fresh, Roll.call([fresh])).helpful
    for tier in fresh.open_tiers:
        slots = {number for order, number in helpful if order == tier.order}
        if not slots:
            Tier.objects.filter(pk=tier.pk).close(TierState.MET)
        elif tier.all_of:  # each slot is one approver's
            tier.approvers.exclude(position__in=slots).update(open=False)
            tier.approvers.filter(position__in=slots).update(open=True)
    return not Tier.objects.filter(decision=decision, state=TierState.OPEN).exists()


def lapse(decision: Decision) -> bool:
    """Apply what time has done to the open tiers, the earliest first; True where something changed.

    Votes and alarms both come through here, under the decision's lock, so that a vote and an expiry have one outcome
    even where no worker rang the alarm yet. May deliver the answer, so nothing may lock a mission after it.
    """
    now, changed = database_now(), False
    while decision.is_open and (tier := _earliest_over(decision, now)) is not None:
        changed = True
        tier.expired_at = tier.expires_at
        tier.save(update_fields=["expired_at"])
        if tier.on_expiry == OnExpiry.REJECT:
            resolution.expire(decision)
            return True
        if tier.on_expiry == OnExpiry.ESCALATE:
            _escalate(decision, tier)
    if changed:
        resolution.announce(decision)
    return changed


def _earliest_over(decision: Decision, now: dt.datetime) -> Tier | None:
    rows = Tier.objects.select_for_update().filter(decision=decision, state=TierState.OPEN, expired_at=None)
    return rows.filter(expires_at__lte=now).order_by("expires_at", "order").first()


def _escalate(decision: Decision, tier: Tier) -> None:
    """Close this tier for lack of time and add the next stage; where that asks nobody any more, it is held instead."""
    following = after(tier)
    if not following.filter(state__in=(TierState.WAITING, TierState.OPEN)).exists():
        return
    Tier.objects.filter(pk=tier.pk).close(TierState.FAILED)
    if following.filter(state=TierState.WAITING).exists():
        open_next(decision)
    show_times(decision)
    events.emit("decision.escalated", decision=decision)


def after(tier: Tier) -> QuerySet[Tier]:
    """The tiers of the next stage, which answer for one that was escalated."""
    later = Tier.objects.filter(decision=tier.decision_id, stage__gt=tier.stage)
    return later.filter(stage=Subquery(later.order_by("stage").values("stage")[:1]))
