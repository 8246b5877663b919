"""Who is who right now: the members of groups, who is active, and who votes in whose place.

Read once for any number of decisions; everything here then answers from memory. Delegation is not transitive: what a
delegate may do is what the giver may do in their own right.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q

from approvals.models import Decision, Delegation, Tier, TierApprover, Vote

Seats = frozenset[int]  # positions of a tier's approvers


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """A delegation in force."""

    id: uuid.UUID
    giver: int
    receiver: int
    groups: frozenset[str]  # empty: all that the giver may decide
    decision: uuid.UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """The people of some decisions as they are now."""

    members: dict[str, set[int]]  # active members by group
    active: set[int]  # of those whom the decisions name, and of their voters
    mandates: tuple[Mandate, ...]
    revoked: dict[uuid.UUID, frozenset[str] | None]  # of the delegations that votes rest on: None, or its groups

    @classmethod
    def call(cls, decisions: Iterable[Decision], groups: Iterable[str] = (), people: Iterable[int] = ()) -> Roll:
        """Read what these decisions need; also about these groups and people. Three statements, or four."""
        seats = [seat for one in decisions for tier in one.tiers.all() for seat in tier.approvers.all()]
        votes = [vote for one in decisions for vote in one.votes.all()]
        given = [vote for vote in votes if vote.delegation_id]
        named = {*people, *(vote.voter_id for vote in votes)}
        named |= {seat.person_id for seat in seats if seat.person_id}
        named |= {vote.on_behalf_of_id for vote in given if vote.on_behalf_of_id}
        return cls(
            members=_members({*groups, *(seat.group for seat in seats)}),
            active=set(User.objects.filter(pk__in=named, is_active=True).values_list("pk", flat=True)),
            mandates=_mandates([one.pk for one in decisions]), revoked=_terms(given),
        )

    def seats(self, tier: Tier, user: int, groups: Iterable[str] = ()) -> Seats:
        """Where this person sits in the tier in their own right; with `groups` only by these."""
        return self.positions(tier.approvers.all(), user, groups)

    def positions(self, seats: Iterable[TierApprover], user: int, groups: Iterable[str] = ()) -> Seats:
        """Which of these seats are this person's in their own right; with `groups` only by these."""
        wanted = frozenset(groups)
        return frozenset(
            seat.position for seat in seats
            if (user in self.members.get(seat.group, ()) and (not wanted or seat.group in wanted))
            or (seat.person_id == user and user in self.active and not wanted)
        )  # fmt: skip

    def sitting(self, tier: Tier) -> set[int]:
        """Everybody who sits in the tier in their own right."""
        people = {user for seat in tier.approvers.all() for user in self.members.get(seat.group, ())}
        return people | {seat.person_id for seat in tier.approvers.all() if seat.person_id in self.active}

    def lent(self, decision: Decision, receiver: int | None = None) -> list[Mandate]:
        """The mandates that are about this decision, all or those of one receiver."""
        about = (one for one in self.mandates if one.decision in (None, decision.pk))
        return [one for one in about if receiver is None or one.receiver == receiver]

    def stands(self, vote: Vote) -> frozenset[str] | None:
        """The groups that the vote is limited to (none: not limited); None where its voter or delegation is void.

        A delegation that was revoked voids what was voted by it; one that merely ran out does not.
        """
        if vote.voter_id not in self.active:
            return None
        if vote.delegation_id is None:
            return frozenset()
        return self.revoked.get(vote.delegation_id) if vote.on_behalf_of_id in self.active else None


def _members(groups: set[str]) -> dict[str, set[int]]:
    members: dict[str, set[int]] = defaultdict(set)
    rows = User.objects.filter(is_active=True, groups__name__in=groups - {""}).values_list("groups__name", "pk")
    for group, user in rows:
        members[group].add(user)
    return members


def _mandates(decisions: list[uuid.UUID]) -> tuple[Mandate, ...]:
    rows = Delegation.objects.in_force().filter(Q(decision=None) | Q(decision__in=decisions))
    return tuple(
        Mandate(id=row.pk, giver=row.giver_id, receiver=row.receiver_id, groups=frozenset(row.groups),
                decision=row.decision_id)
        for row in rows.order_by("starts_at", "pk")
    )  # fmt: skip


def _terms(votes: list[Vote]) -> dict[uuid.UUID, frozenset[str] | None]:
    """The groups of each delegation that these votes rest on; None for one that was revoked."""
    if not votes:
        return {}
    rows = Delegation.objects.filter(pk__in={vote.delegation_id for vote in votes})
    return {row.pk: frozenset(row.groups) if row.revoked_at is None else None for row in rows}
