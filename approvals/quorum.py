"""Who may settle a decision, and whose votes count.

Membership is read each time it matters: when a vote is cast, and again when the effect is dispatched. Whoever asked
(the requester, the owner of the mission) never counts, superusers included, and nobody counts in two tiers.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import QuerySet

from approvals import settling
from approvals.models import Decision, TierState, Vote, VoteVerdict


def askers(decision: Decision) -> set[int]:
    """The users behind the request: they may watch it and never vote on it."""
    mission = decision.mission
    owner = mission.brief.started_by_id if mission is not None and hasattr(mission, "brief") else None
    return {user for user in (decision.requested_by_id, owner) if user is not None} | settling.barred(decision).keys()


def standing(decision: Decision) -> list[Vote]:
    """The votes for what is asked now, in the order in which they were cast; those for an older digest are void."""
    votes = [vote for vote in decision.votes.all() if vote.digest == decision.digest]
    return sorted(votes, key=lambda vote: vote.pk)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """The active members of some groups as they are now; judges any number of decisions without asking again.

    Reads a decision's tiers and votes as they are loaded, else from the database.
    """

    members: dict[str, set[int]]

    @classmethod
    def call(cls, groups: Iterable[str]) -> Roll:
        """Read the membership of these groups; one statement."""
        members: dict[str, set[int]] = defaultdict(set)
        rows = User.objects.filter(is_active=True, groups__name__in=set(groups)).values_list("groups__name", "pk")
        for group, user in rows:
            members[group].add(user)
        return cls(members=members)

    def may_vote(self, decision: Decision, group: str) -> set[int]:
        """Who can vote in the tier of this group, or has: its members, less who asked and who voted elsewhere."""
        elsewhere = {vote.voter_id for vote in standing(decision) if _group_of(decision, vote) != group}
        return self.members.get(group, set()) - askers(decision) - elsewhere

    def counted(self, decision: Decision, group: str) -> list[Vote]:
        """The approvals that count in the tier of this group, in the order in which they were cast."""
        able = self.may_vote(decision, group)
        approvals = [vote for vote in standing(decision) if vote.verdict == VoteVerdict.APPROVE]
        return [vote for vote in approvals if vote.voter_id in able and _group_of(decision, vote) == group]


def _group_of(decision: Decision, vote: Vote) -> str:
    return next(tier.group for tier in decision.tiers.all() if tier.pk == vote.tier_id)


def eligible_voters(decision: Decision, group: str) -> QuerySet[User]:
    """Who can vote in the tier of this group, or has."""
    return User.objects.filter(pk__in=Roll.call([group]).may_vote(decision, group))


def counted_votes(decision: Decision, group: str) -> int:
    """How many approvals this group gives by its membership of now."""
    return len(Roll.call([group]).counted(decision, group))


def covers(decision: Decision, group: str, quorum: int) -> bool:
    """Whether the decision answers a demand for `quorum` approvals of a group, by the membership of now.

    A tier whose time ran out and that was escalated is answered for by the tier after it.
    """
    if counted_votes(decision, group) >= quorum:
        return True
    tiers = list(decision.tiers.order_by("order"))
    for tier, following in itertools.pairwise(tiers):
        if tier.group == group and tier.state == TierState.FAILED and tier.expired_at is not None:
            return covers(decision, following.group, following.quorum)
    return False


def counting(decision: Decision) -> list[str]:
    """The names of all whose approvals count, in the order in which they voted."""
    tiers = list(decision.tiers.all())
    roll = Roll.call(tier.group for tier in tiers)
    votes = [vote for tier in tiers for vote in roll.counted(decision, tier.group)]
    return [vote.voter.get_username() for vote in sorted(votes, key=lambda vote: vote.pk)]


def why_not(user: User, decision: Decision) -> str | None:
    """Why this person may not vote in the tier that is open; None where they may. Superusers get no exception."""
    tier = decision.open_tier
    if not user.is_active:
        return "Your account is not active."
    if tier is None:
        return "No tier of this decision is open."
    if reason := settling.barred(decision).get(user.pk):
        return reason
    if user.pk in askers(decision):
        return "You asked for this or started its mission, so someone else has to decide."
    if not user.groups.filter(name=tier.group).exists():
        return f"This waits for the group {tier.group}, and you are not in it."
    before = next((vote for vote in standing(decision) if vote.voter_id == user.pk), None)
    if before is None:
        return None
    if before.tier_id == tier.pk:
        return "You have voted on this already; your vote stands."
    return f"You voted for {_group_of(decision, before)} already, and a second tier needs someone else."
