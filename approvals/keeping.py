"""What the archive takes along of decisions: themselves, tiers and seats, votes, votes taken back, comments, looks.

Registered by `ApprovalsConfig.ready`. A mission that is still asked about stays.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from approvals.models import Comment, Decision, Look, Retraction, Tier, TierApprover, Vote
from missions.keeping.parts import contributor, keeper


@contributor("decisions", Decision)
def decisions(mission_id: int) -> QuerySet[Decision]:
    """What people were asked."""
    return Decision.objects.filter(mission_id=mission_id).order_by("tx", "pk")


@contributor("tiers", Tier)
def tiers(mission_id: int) -> QuerySet[Tier]:
    """The stages of each decision."""
    return Tier.objects.filter(decision__in=_of(mission_id)).order_by("pk")


@contributor("approvers", TierApprover)
def approvers(mission_id: int) -> QuerySet[TierApprover]:
    """The seats of each stage."""
    return TierApprover.objects.filter(decision__in=_of(mission_id)).order_by("pk")


@contributor("votes", Vote)
def votes(mission_id: int) -> QuerySet[Vote]:
    """What people answered."""
    return Vote.objects.filter(decision__in=_of(mission_id)).order_by("pk")


@contributor("retractions", Retraction)
def retractions(mission_id: int) -> QuerySet[Retraction]:
    """Votes that were taken back."""
    return Retraction.objects.filter(vote__decision__in=_of(mission_id)).order_by("pk")


@contributor("comments", Comment)
def comments(mission_id: int) -> QuerySet[Comment]:
    """What was said in the threads."""
    return Comment.objects.filter(decision__in=_of(mission_id)).order_by("pk")


@contributor("looks", Look)
def looks(mission_id: int) -> QuerySet[Look]:
    """Who looked at what."""
    return Look.objects.filter(decision__in=_of(mission_id)).order_by("pk")


def _of(mission_id: int) -> QuerySet[Decision]:
    return Decision.objects.filter(mission_id=mission_id)


@keeper("open-decisions")
def asked_about(mission_ids: list[int]) -> Iterable[int]:
    """Missions with an open decision."""
    return Decision.objects.open().filter(mission__in=mission_ids).values_list("mission_id", flat=True)
