"""Which decisions a person is part of, and which seats they may vote from: their own, and those of who gave them theirs
for now. Lists of decisions ask by it; a single vote is judged by `approvals.quorum`, which says the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from approvals.models.delegation import Delegation
from approvals.models.tier import Tier, TierApprover

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a person may see and vote on goes by this: who they are, their groups, and what was delegated to them."""

    user: User
    groups: frozenset[str]  # their own
    given: tuple[Delegation, ...] = ()  # in force, earliest first


def standing_of(user: User) -> Standing:
    """A person's standing as it is now; for whoever asks several questions of it. Two statements, or three."""
    rows = Delegation.objects.in_force().filter(receiver=user).order_by("starts_at", "pk").select_related("giver")
    names = frozenset(user.groups.values_list("name", flat=True))
    return Standing(user=user, groups=names, given=tuple(rows.prefetch_related("giver__groups")))


def routes(standing: Standing) -> list[Route]:
    """Their own, then one for each delegation in force."""
    user = standing.user
    own = Route(seats=Q(group__in=sorted(standing.groups)) | Q(person=user), people=(user.pk,))
    return [own, *map(_given, standing.given)]


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


def tokens(standing: Standing) -> tuple[list[str], list[uuid.UUID]]:
    """How a person stands in `Decision.audience`, also in another's place, and the decisions that were handed on."""
    own, handed_on = {person_token(standing.user.pk), *map(group_token, standing.groups)}, list[uuid.UUID]()
    for delegation in standing.given:
        if delegation.decision_id is not None:
            handed_on.append(delegation.decision_id)
            continue
        own.update(map(group_token, _groups_given(delegation)))
        if not delegation.groups:
            own.add(seat_token(delegation.giver_id))
    return sorted(own), handed_on


def asked(standing: Standing) -> Q:
    """Decisions that they are part of: asked, voting, or who asked; also in another's place."""
    audience, handed_on = tokens(standing)
    return Q(audience__overlap=audience) | Q(pk__in=handed_on) if handed_on else Q(audience__overlap=audience)


def free_seat(route: Route, votes: QuerySet[Any]) -> Subquery:
    """An open seat of the decision around it that may be voted from on this route; null where there is none.

    A value rather than a condition, so that the database looks at the rows of a list one by one, in their order, and
    stops with the last that is shown: a join over all open seats costs the more the longer the queue is.
    """
    seats = TierApprover.objects.filter(route.seats, ~Exists(_in_the_way(votes, route.people)), open=True)
    return Subquery(seats.filter(decision=OuterRef("pk")).order_by().values("pk")[:1])


def _in_the_way(votes: QuerySet[Any], people: Sequence[int]) -> QuerySet[Any]:
    """The votes of these people, or on their behalf, in the seat's tier or in one that needs other people."""
    theirs = Q(voter__in=people) | Q(on_behalf_of__in=people)
    order = Subquery(Tier.objects.filter(pk=OuterRef(OuterRef("tier"))).values("order"))  # read where there are votes
    place = Q(tier=OuterRef("tier")) | Q(tier__apart__contains=[order])
    return votes.filter(theirs, place, decision=OuterRef("decision"), digest=OuterRef(OuterRef("digest")))


def behind(people: Iterable[int]) -> Q:
    """Decisions that one of them asked for or edited; who started the mission asked for what it asks."""
    found = Q(pk__in=[])
    for user in people:
        found |= Q(requested_by=user) | Q(editors__contains=[user])
    return found


def waiting_for(name: str) -> Exists:
    """Condition on a decision: an open seat is this group's, or an open tier has this name."""
    named = Q(group=name) | Q(tier__name=name)
    return Exists(TierApprover.objects.filter(named, decision=OuterRef("pk"), open=True))

