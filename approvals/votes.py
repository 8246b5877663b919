"""Casting votes. Owns the one verb through which people settle decisions, from the console and over REST alike.

Promises: under the decision's row lock the first writer wins; a vote names the digest that it answers; a refusal says
what stands instead; the same vote again changes nothing and returns what was recorded.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from approvals import audience, ballots, currency, edits, holding, looks, quorum, resolution, tiers
from approvals.ballots import Ballot
from approvals.models import Decision, DecisionState, Tier, TierApprover, Vote, VoteVerdict
from approvals.refusals import AlreadyVoted, BadVote, NotEligible, NotOpen, StaleDigest, UnknownDecision, VoteRefused
from approvals.roll import Roll
from missions.engine import crashpoints
from missions.errors import MissionEnded
from missions.governance import Json

REFUSALS = {
    VoteVerdict.REJECT: DecisionState.REJECTED, VoteVerdict.REQUEST_CHANGES: DecisionState.CHANGES_REQUESTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CastResult:
    """What came of a vote."""

    state: str  # of the decision, after the vote
    tier: int  # the order of the tier that was voted in
    tier_state: str
    votes: int  # approvals that count in that tier
    quorum: int
    repeated: bool  # the same vote was recorded before; nothing changed
    resolution: dict[str, Any] | None  # once the decision is settled


def cast(
    decision_id: uuid.UUID, voter: User, verdict: str, digest: str, *, comment: str = "", reason_code: str = "",
    choice: str = "", reference: str = "", edited_args: Json | None = None, answer: Any = None, tier: str = "",
    channel: str,
) -> CastResult:
    """Record a vote, and settle the tier and the decision where it is the one that was missing.

    An approval with `edited_args` changes what is asked: it has a new digest, earlier votes are void, and others have
    to vote. `answer` is that of a question in free text or by a schema.
    Own transaction; the mission's mailbox is the last row that it touches. What time or the mission did to the decision
    since is applied first and stays, also where the vote is then refused. Raises UnknownDecision, NotOpen, StaleDigest,
    NotEligible, AlreadyVoted, BadVote.
    """
    ballot = Ballot(
        voter=voter, verdict=verdict, digest=digest, comment=comment.strip(), reason_code=reason_code.strip(),
        choice=choice, reference=reference.strip(), channel=channel, edited_args=edited_args, tier=tier,
        answer=answer.strip() if isinstance(answer, str) else answer,
    )
    with transaction.atomic():
        decision = resolution.locked(decision_id)
        if decision is None:
            raise UnknownDecision
        currency.catch_up(decision)
        outcome = _try(decision, ballot)
    if isinstance(outcome, VoteRefused):
        raise outcome
    return outcome


def _try(decision: Decision, ballot: Ballot) -> CastResult | VoteRefused:
    """The result, or the refusal as a value: raising it here would undo what `catch_up` settled."""
    try:
        with transaction.atomic():
            return _record(decision, ballot)
    except VoteRefused as refusal:
        return refusal
    except MissionEnded as ended:
        decision.refresh_from_db()
        resolution.withdraw(decision, str(ended))
        return not_open(decision)


def _record(decision: Decision, ballot: Ballot) -> CastResult:
    cast = Vote.objects.filter(decision=decision, voter=ballot.voter).exclude(pk__in=decision.retracted)
    cast = cast.order_by("-pk").select_related("tier")
    earlier = cast.filter(tier__name=ballot.tier).first() if ballot.tier else cast.first()
    open_now = tiers.open_tiers(decision)
    seat = quorum.seat_of(ballot.voter, tiers.loaded(decision), ballot.tier) if decision.is_open else ""
    if earlier is not None and _is_repeat(earlier, ballot, seat, open_now):
        return _result(decision, earlier.tier, _counted(decision, earlier.tier), repeated=True)
    if not decision.is_open or not open_now:
        raise not_open(decision)
    if ballot.digest != decision.digest:
        raise StaleDigest(digest=decision.digest)
    if earlier is not None and earlier.tier in open_now and earlier.digest == decision.digest:
        raise AlreadyVoted(verdict=earlier.verdict, cast_at=earlier.cast_at.isoformat())
    if isinstance(seat, str):
        raise NotEligible(seat)
    if errors := list(ballots.errors(decision, ballot)):
        raise BadVote(errors)
    if ballot.edited_args is not None:
        return _edit(decision, seat, ballot, ballot.edited_args)
    return _apply(decision, _insert(decision, seat, ballot))


def _edit(decision: Decision, seat: quorum.Seat, ballot: Ballot, args: Json) -> CastResult:
    """Ask for other arguments instead; the vote is kept with both, and counts for neither."""
    wanted, ruling = edits.checked(decision, args)
    _insert(decision, seat, ballot, edited_from=decision.action["args"])
    edits.apply(decision, ballot.voter.pk, wanted, ruling)
    resolution.announce(decision)
    seat.tier.refresh_from_db()
    return _result(decision, seat.tier, 0)


def _is_repeat(earlier: Vote, ballot: Ballot, seat: quorum.Seat | str, open_now: list[Tier]) -> bool:
    """Whether this is the same vote sent again. Who may vote once more in another tier has to name it."""
    same = ballots.terms_of(earlier) == ballot.terms
    if not same or ballot.tier or not open_now or earlier.tier in open_now or not isinstance(seat, str):
        return same
    groups = set(ballot.voter.groups.values_list("name", flat=True))
    seats = TierApprover.objects.filter(tier__in=open_now)
    return not seats.filter(Q(group__in=groups) | Q(person=ballot.voter)).exists()


def _insert(decision: Decision, seat: quorum.Seat, ballot: Ballot, edited_from: Json | None = None) -> Vote:
    attention = looks.attention(decision, ballot.voter)
    again = Vote.objects.filter(pk__in=decision.retracted, voter=ballot.voter, digest=ballot.digest).count()
    vote = Vote.objects.create(
        decision=decision, tier=seat.tier, mission_id=decision.mission_id, timeline=decision.timeline,
        voter=ballot.voter, on_behalf_of_id=seat.on_behalf_of, delegation_id=seat.delegation, verdict=ballot.verdict,
        digest=ballot.digest, comment=ballot.comment, reason_code=ballot.reason_code, choice=ballot.choice,
        reference=ballot.reference, channel=ballot.channel, answer=ballot.answer, edited_args=ballot.edited_args,
        edited_from=edited_from, again=again, looked_seconds=attention.seconds, evidence_opened=attention.opened,
    )
    audience.refresh(decision)
    return vote


def _apply(decision: Decision, vote: Vote) -> CastResult:
    """Let a recorded vote take effect: a refusal settles at once, an approval when each tier has its quorum."""
    if refused := REFUSALS.get(VoteVerdict(vote.verdict)):
        return _settle(decision, vote, refused)
    if tiers.advance(decision):
        return _settle(decision, vote, DecisionState.APPROVED)
    resolution.announce(decision)
    vote.tier.refresh_from_db(fields=["state"])
    return _result(decision, vote.tier, _counted(decision, vote.tier))


def _counted(decision: Decision, tier: Tier) -> int:
    """How many approvals answer a tier now."""
    fresh = tiers.loaded(decision)
    return len(quorum.tally(fresh, Roll.call([fresh])).of(tier.order))


def _settle(decision: Decision, vote: Vote, state: DecisionState) -> CastResult:
    """Close the decision, describe it, and wake the mission last, unless its rules hold an approval back."""
    vote.decision = tiers.loaded(decision)
    answer = resolution.answer_of(vote, state)
    if state == DecisionState.APPROVED:
        if not holding.approve(decision, answer):
            return _result(decision, vote.tier, _counted(decision, vote.tier))
    else:
        resolution.settle(decision, state, answer)
    vote.tier.refresh_from_db(fields=["state"])
    result = _result(decision, vote.tier, _counted(decision, vote.tier))
    crashpoints.reach("vote_and_wake")
    resolution.tell_mission(decision, sender=vote.voter.get_username())
    return result


def _result(decision: Decision, tier: Tier, counted: int, *, repeated: bool = False) -> CastResult:
    return CastResult(
        state=decision.state, tier=tier.order, tier_state=tier.state, quorum=tier.quorum, votes=counted,
        repeated=repeated, resolution=decision.resolution,
    )


def not_open(decision: Decision) -> NotOpen:
    """The refusal that tells how this decision was settled."""
    return NotOpen(state=decision.state, resolution=decision.resolution, superseded_by=decision.superseded_by_id)
