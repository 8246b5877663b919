"""Whether an open decision is still asked: missions end, roll back and go on elsewhere, and time runs out.

Votes bring a decision up to date before they are judged; the sweep does it for those that nobody votes on.
"""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models import F, Q

from approvals import resolution, resolving, settling, tiers
from approvals.models import Decision
from missions.models import State
from missions.models.mission import ENDED

SWEEP = 500  # decisions a sweep


def catch_up(decision: Decision) -> None:
    """Settle what is settled in truth: the mission ended or went on elsewhere, or the tier's time ran out.

    The caller holds the decision's row lock. The mission row is read without one: it comes after the decision in the
    lock order, and `resolution.tell_mission` locks it when it delivers. May deliver, so nothing may be locked after it.
    """
    mission = decision.mission
    if decision.is_open and mission is not None and mission.ended:
        resolution.withdraw(decision, f"The mission is {State(mission.state).label.lower()}.")
    elif decision.is_open and mission is not None and mission.timeline != decision.timeline:
        resolution.supersede(decision, None, "The mission was rolled back and went on elsewhere.")
    else:
        settling.catch_up(decision)
        tiers.lapse(decision)
        resolving.look_again(decision)


def sweep() -> int:
    """Settle open decisions that their missions left behind; how many. Each has a transaction of its own."""
    left = Decision.objects.open().filter(Q(mission__state__in=ENDED) | ~Q(mission__timeline=F("timeline")))
    return sum(map(_settle_one, list(left.filter(mission__isnull=False).values_list("pk", flat=True)[:SWEEP])))


def _settle_one(decision_id: uuid.UUID) -> int:
    with transaction.atomic():
        decision = resolution.locked(decision_id)
        if decision is None:
            return 0
        was_open = decision.is_open
        catch_up(decision)
        return int(was_open and not decision.is_open)
