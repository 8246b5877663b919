"""Which seats a person may vote from, as conditions on rows of `TierApprover`: their own, and those of who gave them
theirs for now. Lists of decisions ask by it; a single vote is judged by `approvals.quorum`, which says the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals.models.delegation import Delegation
from approvals.models.tier import TierApprover

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def group_token(name: str) -> str:
    """How the members of a group stand in `Decision.audience`."""
    return f"g:{name}"


def person_token(user_id: int) -> str:
    """How one person stands in `Decision.audience`: who asked, who voted, who sits in a tier."""
    return f"u:{user_id}"


def seat_token(user_id: int) -> str:
    """How a person's own seat stands there, which a delegate may take."""
    return f"s:{user_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One standing from which a person votes."""

    seats: Q
    people: tuple[int, ...]  # whose vote it would be: the voter, and who gave the standing
    giver: int | None = None


def routes(user: User, groups: Sequence[str]) -> list[Route]:
    """The standing of a person in these groups, then one for each delegation in force. One statement, or two."""
    own = Route(seats=Q(group__in=groups) | Q(person=user), people=(user.pk,))
    return [own, *map(_given, _in_force(user))]


def _in_force(user: User) -> QuerySet[Delegation]:
    given = Delegation.objects.in_force().filter(receiver=user).order_by("starts_at", "pk")
    return given.prefetch_related("giver__groups")


def _groups_given(delegation: Delegation) -> set[str]:
    names = {group.name for group in delegation.giver.groups.all()}
    return names.intersection(delegation.groups) if delegation.groups else names


def _given(delegation: Delegation) -> Route:
    seats = Q(group__in=_groups_given(delegation))
    if not delegation.groups:
        seats |= Q(person=delegation.giver_id)
    if delegation.decision_id is not None:
        seats &= Q(decision=delegation.decision_id)
    return Route(seats=seats, people=(delegation.receiver_id, delegation.giver_id), giver=delegation.giver_id)


def tokens(user: User, groups: Iterable[str]) -> tuple[list[str], list[uuid.UUID]]:
    """How a person stands in `Decision.audience`, also in another's place, and the decisions that were handed on."""
    own, handed_on = {person_token(user.pk), *map(group_token, groups)}, list[uuid.UUID]()
    for delegation in _in_force(user):
        if delegation.decision_id is not None:
            handed_on.append(delegation.decision_id)
            continue
        own.update(map(group_token, _groups_given(delegation)))
        if not delegation.groups:
            own.add(seat_token(delegation.giver_id))
    return sorted(own), handed_on


def waiting_seats(user: User, groups: Iterable[str], votes: QuerySet[Any]) -> QuerySet[TierApprover]:
    """The open seats that this person may vote from now: not behind the request, and no vote in the way."""
    mine = Q(pk__in=[])
    for route in routes(user, list(groups)):
        free = Q(route.seats, ~Exists(_in_the_way(votes, route.people)))
        mine |= free if route.giver is None else Q(free, ~_behind(route.giver))
    return TierApprover.objects.filter(mine, ~_behind(user.pk), open=True)


def _in_the_way(votes: QuerySet[Any], people: Sequence[int]) -> QuerySet[Any]:
    """The votes of these people, or on their behalf, in the seat's tier or in one that needs other people."""
    theirs = Q(voter__in=people) | Q(on_behalf_of__in=people)
    place = Q(tier=OuterRef("tier")) | Q(tier__apart__contains=[OuterRef("tier__order")])
    return votes.filter(theirs, place, decision=OuterRef("decision"), digest=OuterRef("decision__digest"))


def _behind(user: int) -> Q:
    """Seats of decisions that this user asked for or edited; who started the mission asked for what it asks."""
    return Q(decision__requested_by=user) | Q(decision__editors__contains=[user])


def waiting_for(name: str) -> Exists:
    """Condition on a decision: an open seat is this group's, or an open tier has this name."""
    named = Q(group=name) | Q(tier__name=name)
    return Exists(TierApprover.objects.filter(named, decision=OuterRef("pk"), open=True))

