"""Which people an event is meant for, before their own choices are asked. Reads only.

Whoever is named here may see what the event is about: nobody is told of what they could not open.
"""

from __future__ import annotations

import uuid

from django.contrib.auth.models import User
from django.db.models import Q

from approvals import quorum, tiers
from approvals.models import Decision, DecisionState, Event, EventKind, Follower
from approvals.roll import Roll
from missions.models import Mission
from missions.visibility import types_seen_by
from missions.web.access import visible_missions

OPERATORS = "operators"
TO_VOTERS = (EventKind.OPENED, EventKind.DUE_SOON, EventKind.OVERDUE, EventKind.ESCALATED)
OF_ONE_TIER = (EventKind.DUE_SOON, EventKind.OVERDUE)
OF_OPERATORS = (EventKind.STUCK, EventKind.WORKER_DOWN)
ANSWERED = (DecisionState.APPROVED, DecisionState.REJECTED, DecisionState.CHANGES_REQUESTED, DecisionState.EXPIRED)


def people(event: Event) -> list[User]:
    """Who is meant, each once, all of them active."""
    found: set[int] = set()
    if event.kind in OF_OPERATORS:
        found |= _operators()
    if event.mission_uid is not None and event.kind.startswith("mission."):
        found |= _around(event.mission_uid)
    elif event.decision_id is not None:
        found |= _of_decision(event, event.decision_id)
    return [user for user in User.objects.filter(pk__in=found, is_active=True).order_by("pk") if may_see(user, event)]


def may_see(user: User, event: Event) -> bool:
    """Whether this person may see now what the event is about; asked again before it is sent."""
    if not user.is_active:
        return False
    if event.decision_id is not None and Decision.objects.visible_to(user).filter(pk=event.decision_id).exists():
        return True
    if event.mission_uid is not None and event.kind.startswith("mission."):
        return visible_missions(user).filter(uid=event.mission_uid).exists()
    return event.decision_id is None and event.mission_uid is None and user.pk in _operators()


def told_to(user: User) -> Q:
    """The events that who keeps webhooks may be told of: all but those of missions that are restricted to others.

    By the type that an event carries, so that it holds too when its mission has left for the archive.
    """
    shown = types_seen_by(user, prefix="facts__")
    own = Q(mission_uid__in=Mission.objects.filter(brief__started_by=user.pk).values("uid"))
    return shown | Q(facts__type__isnull=True) | own if shown else shown


def may_be_told(user: User, event: Event) -> bool:
    """Whether a webhook of this person's is told of the event now."""
    return Event.objects.filter(told_to(user), pk=event.pk).exists()


def _operators() -> set[int]:
    rows = User.objects.filter(Q(groups__name=OPERATORS) | Q(is_superuser=True), is_active=True)
    return set(rows.values_list("pk", flat=True))


def _around(uid: uuid.UUID) -> set[int]:
    """Who started a mission, and who follows it."""
    mission = Mission.objects.select_related("brief").filter(uid=uid).first()
    if mission is None:
        return set()
    followers = set(Follower.objects.filter(mission_id=mission.pk).values_list("user_id", flat=True))
    return followers | ({mission.brief.started_by_id} if mission.brief.started_by_id else set())


def _of_decision(event: Event, decision_id: uuid.UUID) -> set[int]:
    decision = Decision.objects.select_related("mission__brief").filter(pk=decision_id).first()
    if decision is None:
        return set()
    if event.kind in TO_VOTERS:
        return _voters(decision, event.facts.get("tier") if event.kind in OF_ONE_TIER else None)
    if event.kind == EventKind.SETTLED:
        return quorum.askers(decision) if event.facts.get("state") in ANSWERED else set()
    return _talking(decision) - set(
        User.objects.filter(username=event.facts.get("by") or "").values_list("pk", flat=True)
    )


def _voters(decision: Decision, label: str | None) -> set[int]:
    """Whose vote an open tier (of this label, where one is given) waits for now, delegates included."""
    if not decision.is_open:
        return set()
    fresh = tiers.loaded(decision)
    roll = Roll.call([fresh])
    open_tiers = [tier for tier in fresh.open_tiers if label is None or tier.label == label]
    return set().union(*(quorum.waited_for(fresh, tier, roll) for tier in open_tiers))


def _talking(decision: Decision) -> set[int]:
    """Who takes part: who asked, who voted, who wrote in its thread, who has claimed it."""
    voted = {vote.voter_id for vote in decision.votes.all()} | set(decision.comments.values_list("author", flat=True))
    return quorum.askers(decision) | voted | ({decision.claimed_by_id} if decision.claimed_by_id else set())
