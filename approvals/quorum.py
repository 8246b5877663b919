"""Who may settle a decision, and whose votes count.

Membership and delegations are read each time it matters: when a vote is cast, and again when the effect is dispatched.
Whoever asked (the requester, the owner of the mission, who edited what is asked) never counts, superusers included,
neither directly nor through or for somebody else.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.contrib.auth.models import User

from approvals import settling
from approvals.matching import Approval, Matching, match
from approvals.models import Decision, Tier, TierState, Vote, VoteVerdict
from approvals.plans import TierPlan
from approvals.roll import Mandate, Roll, Seats

Offered = list[tuple[Vote, dict[int, Seats]]]  # approvals with the demands that each may answer, and from where
FILLED_FIRST = (TierState.MET, TierState.OPEN, TierState.WAITING, TierState.FAILED)


def askers(decision: Decision) -> set[int]:
    """The users behind what is asked, who may watch it and never vote on it: who asked, and who edited it since."""
    mission = decision.mission
    owner = mission.brief.started_by_id if mission is not None and hasattr(mission, "brief") else None
    people = {user for user in (decision.requested_by_id, owner, *decision.editors) if user is not None}
    return people | settling.barred(decision).keys()


def standing(decision: Decision) -> list[Vote]:
    """The votes for what is asked now, in the order in which they were cast.

    Those for an older digest are void, and those that were taken back count no more.
    """
    gone = set(decision.retracted)
    votes = [vote for vote in decision.votes.all() if vote.digest == decision.digest and vote.pk not in gone]
    return sorted(votes, key=lambda vote: vote.pk)


def people(vote: Vote) -> set[int]:
    """Whose vote it is: the voter's, and that of the one in whose place they voted."""
    return {user for user in (vote.voter_id, vote.on_behalf_of_id) if user is not None}


def approvals(decision: Decision, roll: Roll) -> list[tuple[Vote, frozenset[str]]]:
    """The approvals that hold by now, with the groups that each is limited to; nobody behind the request counts."""
    behind = askers(decision)
    given = [vote for vote in standing(decision) if vote.verdict == VoteVerdict.APPROVE and not people(vote) & behind]
    return [(vote, limits) for vote in given if (limits := roll.stands(vote)) is not None]


def principal(vote: Vote) -> int:
    """In whose standing the vote was cast."""
    return vote.on_behalf_of_id or vote.voter_id


def may_serve(vote: Vote, tiers: list[Tier]) -> list[Tier]:
    """The tiers that an approval may answer: the one that it was cast in first.

    Another one of the same stage only where both need other people than every other tier does: then it is this
    person's one vote, and it may go where it is needed.
    """
    own = next(tier for tier in tiers if tier.pk == vote.tier_id)
    if len(own.apart) < len(tiers) - 1:
        return [own]
    free = [tier for tier in tiers if tier.stage == own.stage and len(tier.apart) == len(tiers) - 1]
    return [own, *(tier for tier in free if tier.pk != own.pk)]


def tally(decision: Decision, roll: Roll) -> Matching[int]:
    """Which approvals answer which tiers (by their order) by the membership of now; tiers that are met come first."""
    tiers = list(decision.tiers.all())
    apart = {tier.order: tier.apart for tier in tiers}
    offered = [
        (vote, {tier.order: roll.seats(tier, principal(vote), limits) for tier in may_serve(vote, tiers)})
        for vote, limits in approvals(decision, roll)
    ]  # fmt: skip
    by_need = sorted(tiers, key=lambda tier: (FILLED_FIRST.index(TierState(tier.state)), tier.order))
    demands = {tier.order: TierPlan.of_row(tier).demands for tier in by_need}
    counted = merged(offered, lambda one, other: one == other or other in apart[one])
    return match(demands, counted, asking={tier.order for tier in decision.open_tiers})


def merged(offered: Offered, clash: Callable[[int, int], bool]) -> list[Approval[int]]:
    """Approvals as they may be counted: several of one person are one, unless all that they may answer lets the same
    people vote again. `clash` says whether two demands need different people."""
    left, found = list(offered), []
    while left:
        vote, answers = left.pop(0)
        for one in [one for one in left if people(one[0]) & people(vote)]:
            if any(clash(first, second) for first in answers for second in one[1]):
                left.remove(one)
                answers = {**one[1], **answers}
        found.append(Approval(id=vote.pk, answers=answers))
    return found


def may_vote(decision: Decision, tier: Tier, roll: Roll) -> set[int]:
    """Who can vote in a tier, or has: in their own right or in another's place; nobody behind the request, and nobody
    whose vote is needed elsewhere."""
    behind = askers(decision)
    own = roll.sitting(tier) - behind
    lent = {one.receiver for one in roll.lent(decision) if one.giver in own and roll.seats(tier, one.giver, one.groups)}
    elsewhere = [vote for vote in standing(decision) if _cast_in(decision, vote).order in tier.apart]
    return (own | lent - behind) - {user for vote in elsewhere for user in people(vote)}


def counting(decision: Decision) -> list[str]:
    """The names of all whose approvals count, in the order in which they voted."""
    counted = set(tally(decision, Roll.call([decision])).filled.values())
    return [vote.voter.get_username() for vote in standing(decision) if vote.pk in counted]


def waited_for(decision: Decision, tier: Tier, roll: Roll) -> set[int]:
    """Whose vote in a tier would bring it further: as `may_vote`, less those who voted and seats that are filled."""
    cast = [vote for vote in standing(decision) if vote.tier_id == tier.pk]
    void = {vote.on_behalf_of_id for vote in cast if roll.stands(vote) is None}
    voted = {user for vote in cast for user in people(vote)} - void
    wanted = _open(tier) if tier.state == TierState.OPEN else frozenset(seat.position for seat in tier.approvers.all())
    able = may_vote(decision, tier, roll) - voted
    own = {user for user in able if roll.seats(tier, user) & wanted}
    givers = roll.sitting(tier) - voted - askers(decision)
    lent = {
        one.receiver for one in roll.lent(decision)
        if one.giver in givers and roll.seats(tier, one.giver, one.groups) & wanted
    }  # fmt: skip
    return own | lent & able


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """From where a person votes."""

    tier: Tier
    on_behalf_of: int | None = None
    delegation: uuid.UUID | None = None


def seat_of(user: User, decision: Decision, tier: str = "") -> Seat | str:
    """The seat that this person votes from, or why there is none. Superusers get no exception.

    The first open tier that they may vote in, or the open one of this name. Their own right comes before what others
    gave them; each vote needs people who have none in the way, neither the voter's nor the giver's.
    """
    if refusal := _out_of_question(user, decision):
        return refusal
    roll = Roll.call([decision], people=[user.pk])
    tiers = [one for one in decision.open_tiers if not tier or tier == one.label]
    in_the_way = ""
    for one, mandate in _standings(user.pk, decision, tiers, roll):
        who = {user.pk, mandate.giver} if mandate else {user.pk}
        theirs = ((vote, _cast_in(decision, vote)) for vote in standing(decision) if who & people(vote)
                  and (vote.voter_id == user.pk or roll.stands(vote) is not None))  # what was revoked bars nobody
        blocking = next(((vote, cast) for vote, cast in theirs if cast == one or cast.order in one.apart), None)
        if blocking is None:
            giver, delegation = (mandate.giver, mandate.id) if mandate else (None, None)
            return Seat(tier=one, on_behalf_of=giver, delegation=delegation)
        in_the_way = in_the_way or _told(*blocking, one, user.pk)
    return in_the_way or _not_in(user.pk, tiers, roll)


def _out_of_question(user: User, decision: Decision) -> str:
    if not user.is_active:
        return "Your account is not active."
    if not decision.open_tiers:
        return "No tier of this decision is open."
    if reason := settling.barred(decision).get(user.pk):
        return reason
    if user.pk in decision.editors:
        return "You edited what is asked, so someone else has to decide it."
    if user.pk in askers(decision):
        return "You asked for this or started its mission, so someone else has to decide."
    return ""


def _standings(
    user: int, decision: Decision, tiers: list[Tier], roll: Roll
) -> Iterator[tuple[Tier, Mandate | None]]:
    """The open seats of this person: their own, then those that others gave them."""
    behind = askers(decision)
    for tier in tiers:
        if roll.seats(tier, user) & _open(tier):
            yield tier, None
    for mandate in roll.lent(decision, user):
        for tier in tiers if mandate.giver not in behind else ():
            if roll.seats(tier, mandate.giver, mandate.groups) & _open(tier):
                yield tier, mandate


def _open(tier: Tier) -> Seats:
    return frozenset(seat.position for seat in tier.approvers.all() if seat.open)


def _cast_in(decision: Decision, vote: Vote) -> Tier:
    return next(tier for tier in decision.tiers.all() if tier.pk == vote.tier_id)


def _told(vote: Vote, cast: Tier, tier: Tier, user: int) -> str:
    """Why a vote is in the way."""
    if vote.voter_id != user:
        return f"{vote.voter} has voted on this already in the same standing."
    if cast == tier:
        return "You have voted on this already; your vote stands."
    return f"You voted for {cast.label} already, and a second tier needs someone else."


def _not_in(user: int, tiers: list[Tier], roll: Roll) -> str:
    names = ", ".join(tier.label for tier in tiers) or "another tier"
    if any(roll.seats(tier, user) for tier in tiers):
        return f"Enough people of your group have approved already; {names} still needs others."
    return f"This waits for the group {names}, and you are not in it."


def why_not(user: User, decision: Decision) -> str | None:
    """Why this person may not vote now; None where they may."""
    found = seat_of(user, decision)
    return found if isinstance(found, str) else None
