"""Casting votes. Owns the one verb through which people settle decisions, from the console and over REST alike.

Promises: under the decision's row lock the first writer wins; a vote names the digest that it answers; a refusal says
what stands instead; the same vote again changes nothing and returns what was recorded.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from approvals import currency, quorum, resolution, tiers
from approvals.models import Decision, DecisionKind, DecisionState, Tier, TierApprover, Vote, VoteVerdict
from approvals.refusals import AlreadyVoted, BadVote, NotEligible, NotOpen, StaleDigest, UnknownDecision, VoteRefused
from approvals.roll import Roll
from missions.engine import crashpoints
from missions.errors import MissionEnded

COMMENT_LENGTH, REFERENCE_LENGTH, REASON_LENGTH = 4000, 200, 50
HAPPENED = "happened"  # the answer to an effect in doubt that has to name the other side's reference
Errors = Iterator[dict[str, str]]
REFUSALS = {
    VoteVerdict.REJECT: DecisionState.REJECTED, VoteVerdict.REQUEST_CHANGES: DecisionState.CHANGES_REQUESTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One person's answer, as it was sent."""

    voter: User
    verdict: str
    digest: str
    comment: str
    reason_code: str
    choice: str
    reference: str
    channel: str
    tier: str = ""  # the name of the open tier that is meant; empty: the first that this person may vote in


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
    choice: str = "", reference: str = "", tier: str = "", channel: str,
) -> CastResult:
    """Record a vote, and settle the tier and the decision where it is the one that was missing.

    Own transaction; the mission's mailbox is the last row that it touches. What time or the mission did to the decision
    since is applied first and stays, also where the vote is then refused. Raises UnknownDecision, NotOpen, StaleDigest,
    NotEligible, AlreadyVoted, BadVote.
    """
    ballot = Ballot(
        voter=voter, verdict=verdict, digest=digest, comment=comment.strip(), reason_code=reason_code.strip(),
        choice=choice, reference=reference.strip(), channel=channel, tier=tier,
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
    cast = Vote.objects.filter(decision=decision, voter=ballot.voter).order_by("-pk").select_related("tier")
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
    if errors := list(_errors(decision, ballot)):
        raise BadVote(errors)
    return _apply(decision, _insert(decision, seat, ballot))


def _is_repeat(earlier: Vote, ballot: Ballot, seat: quorum.Seat | str, open_now: list[Tier]) -> bool:
    """Whether this is the same vote sent again. Who may vote once more in another tier has to name it."""
    same = (earlier.verdict, earlier.digest, earlier.choice) == (ballot.verdict, ballot.digest, ballot.choice)
    if not same or not open_now or earlier.tier in open_now or not isinstance(seat, str):
        return same
    groups = set(ballot.voter.groups.values_list("name", flat=True))
    seats = TierApprover.objects.filter(tier__in=open_now)
    return not seats.filter(Q(group__in=groups) | Q(person=ballot.voter)).exists()


def _errors(decision: Decision, ballot: Ballot) -> Errors:
    """What is missing or too long, as {field, message}."""
    limits = (("comment", COMMENT_LENGTH), ("reason_code", REASON_LENGTH), ("reference", REFERENCE_LENGTH))
    for field, limit in limits:
        if len(getattr(ballot, field)) > limit:
            yield {"field": field, "message": f"At most {limit:,} characters."}
        if "\x00" in getattr(ballot, field):
            yield {"field": field, "message": "NUL bytes can not be kept."}
    if ballot.verdict not in VoteVerdict.values:
        yield {"field": "verdict", "message": f"One of {', '.join(VoteVerdict.values)}."}
    elif ballot.verdict != VoteVerdict.APPROVE:
        yield from _refusal_errors(decision, ballot)
    elif decision.choices:
        yield from _choice_errors(decision, ballot)


def _refusal_errors(decision: Decision, ballot: Ballot) -> Errors:
    if decision.kind == DecisionKind.IN_DOUBT:
        yield {"field": "verdict", "message": "Say what happened: approve with one of the choices."}
    elif not ballot.comment:
        yield {"field": "comment", "message": "Say why: whoever asked gets to read it."}


def _choice_errors(decision: Decision, ballot: Ballot) -> Errors:
    """The first voter's choice binds those who second it; other choices would never add up to a quorum."""
    values = [choice["value"] for choice in decision.choices]
    made = Vote.objects.filter(decision=decision, digest=decision.digest).order_by("pk").select_related("voter").first()
    if ballot.choice not in values:
        yield {"field": "choice", "message": f"Choose one of {', '.join(values)}."}
    elif made is not None and made.choice != ballot.choice:
        yield {"field": "choice", "message": f"{made.voter} answered {made.choice}; both answers have to agree."}
    elif decision.kind == DecisionKind.IN_DOUBT and ballot.choice == HAPPENED and not ballot.reference:
        yield {"field": "reference", "message": "Give the reference under which the other side knows it."}


def _insert(decision: Decision, seat: quorum.Seat, ballot: Ballot) -> Vote:
    return Vote.objects.create(
        decision=decision, tier=seat.tier, mission_id=decision.mission_id, timeline=decision.timeline,
        voter=ballot.voter, on_behalf_of_id=seat.on_behalf_of, delegation_id=seat.delegation, verdict=ballot.verdict,
        digest=ballot.digest, comment=ballot.comment, reason_code=ballot.reason_code, choice=ballot.choice,
        reference=ballot.reference, channel=ballot.channel,
    )


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
    """Close the decision, describe it, and wake the mission last."""
    vote.decision = tiers.loaded(decision)
    resolution.settle(decision, state, resolution.answer_of(vote, state))
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
