"""Approvals that wait before they take effect: the mission is told when the time is over, unless somebody undoes it.

Undoing and telling meet under the decision's row lock, and the database clock says which of the two it is.
"""

from __future__ import annotations

import datetime as dt
import uuid

from django.contrib.auth.models import User
from django.db import transaction

from approvals import coverage, quorum, resolution, tiers
from approvals.models import Decision, DecisionState, Retraction, Tier, TierState, Vote
from approvals.models.tier import TierQuerySet
from approvals.outbound import events
from approvals.plans import TierPlan
from approvals.refusals import BadVote, NotEligible, NotHeld, UnknownDecision
from approvals.roll import Roll
from missions.engine.alarms import set_alarm
from missions.engine.clock import database_now
from missions.errors import MissionEnded
from missions.governance import Answer

REASON_LENGTH = 4000


def approve(decision: Decision, answer: Answer) -> bool:
    """Approve it; whether the mission may be told now, rather than when the time of its rules is over.

    The caller holds the row lock, and tells the mission.
    """
    if decision.hold_seconds > 0:
        _hold(decision, answer)
        return False
    resolution.settle(decision, DecisionState.APPROVED, answer)
    return True


def _hold(decision: Decision, answer: Answer) -> None:
    decision.hold_until = database_now() + dt.timedelta(seconds=decision.hold_seconds)
    decision.released_at = None
    resolution.settle(decision, DecisionState.APPROVED, answer)
    set_alarm(f"decision.release:{decision.pk}", decision.hold_until)


def release(decision_id: uuid.UUID) -> bool:
    """Tell the mission of an approval whose time is over; False where there is none. Joins the caller's transaction."""
    decision = resolution.locked(decision_id)
    if decision is None or not decision.is_held or not _is_over(decision):
        return False
    if decision.mission is None and (void := _void(decision)):
        _ask_again(decision, void)
        return False
    decision.released_at = decision.hold_until
    decision.save(update_fields=["released_at"])
    resolution.announce(decision)
    events.emit("decision.settled", decision=decision)
    try:
        with transaction.atomic():
            resolution.tell_mission(decision)
    except MissionEnded:  # nobody needs the answer any more; the approval stays on record as one that never took effect
        return False
    return True


def _void(decision: Decision) -> list[int]:
    """The approvals that hold no more, where what is left does not answer the tiers. Else, and of missions, none: the
    look before dispatch asks the same of them; where no mission waits, nobody looks again."""
    fresh = tiers.loaded(decision)
    plans = [TierPlan.of_row(tier) for tier in fresh.tiers.all() if tier.state == TierState.MET]
    if not coverage.missing(fresh, plans):
        return []
    held = {vote.pk for vote, _ in quorum.approvals(fresh, Roll.call([fresh]))}
    return [vote.pk for vote in quorum.standing(fresh) if vote.pk not in held]


def _ask_again(decision: Decision, void: list[int]) -> None:
    """Open it again, without these votes; tiers that are answered all the same close at once."""
    _reopen(decision, void, Tier.objects.filter(decision=decision, state=TierState.MET))
    tiers.advance(decision)
    resolution.announce(decision)


def _is_over(decision: Decision) -> bool:
    return decision.hold_until is not None and decision.hold_until <= database_now()


def undo(decision_id: uuid.UUID, user: User, reason: str = "") -> Decision:
    """Take one's counted approval back while it is held: the decision is open again, and other votes stand.

    Own transaction. Raises UnknownDecision, NotHeld, NotEligible, BadVote.
    """
    if len(reason) > REASON_LENGTH or "\x00" in reason:
        raise BadVote([{"field": "reason", "message": f"At most {REASON_LENGTH:,} characters, none of them NUL."}])
    with transaction.atomic():
        decision = resolution.locked(decision_id)
        if decision is None:
            raise UnknownDecision
        _may_be_undone(decision)
        vote = counted_vote(decision, user)
        if vote is None:
            raise NotEligible("Only those whose approval counted may undo it.")
        Retraction.objects.create(vote=vote, mission_id=decision.mission_id, reason=reason.strip())
        _reopen(decision, [vote.pk], Tier.objects.filter(pk=vote.tier_id))
        resolution.announce(decision)
    return decision


def _may_be_undone(decision: Decision) -> None:
    """Raises NotHeld."""
    if not decision.is_held or _is_over(decision):
        raise NotHeld
    if decision.mission is not None and decision.mission.ended:
        raise NotHeld("The mission has ended; there is nothing left to undo.")


def counted_vote(decision: Decision, user: User) -> Vote | None:
    """This person's approval, if the decision rests on it."""
    fresh = tiers.loaded(decision)
    counted = set(quorum.tally(fresh, Roll.call([fresh])).filled.values())
    mine = [vote for vote in quorum.standing(fresh) if vote.voter_id == user.pk and vote.pk in counted]
    return mine[-1] if mine else None


def _reopen(decision: Decision, without: list[int], anew: TierQuerySet) -> None:
    """Open again, without these votes; these tiers are asked anew."""
    decision.retracted = [*decision.retracted, *without]
    decision.state, decision.resolution, decision.resolved_at = DecisionState.OPEN, None, None
    decision.hold_until = None
    decision.save(update_fields=["retracted", "state", "resolution", "resolved_at", "hold_until"])
    tiers.begin_again(anew)
    tiers.open_next(decision)
