"""Votes that stand: what people said of an action is not asked again where policy tightened before it was done.

The next round's decision takes over the approvals of the tiers that ask the same approvers, for the same digest. Each
is a vote of its own that names the one it comes from; whether it counts is judged anew, like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from approvals import coverage, holding, quorum, resolution
from approvals import tiers as stages
from approvals.models import Decision, DecisionState, Tier, TierState, Vote, VoteVerdict
from approvals.plans import TierPlan


def earlier_round(decision: Decision) -> Decision | None:
    """The decision of the round before, about the very same action at the same place, that nobody refused."""
    if not decision.path or decision.mission_id is None:
        return None
    place = {"mission_id": decision.mission_id, "timeline": decision.timeline, "chapter": decision.chapter,
             "path": decision.path, "kind": decision.kind, "digest": decision.digest}  # fmt: skip
    rows = Decision.objects.filter(**place, state__in=(DecisionState.APPROVED, DecisionState.SUPERSEDED))
    found = rows.exclude(pk=decision.pk).order_by("-opened_at", "-tx")
    return found.prefetch_related("tiers__approvers", "votes").first()


def _with_editors(decision: Decision) -> None:
    """Who edited these arguments in an earlier round does not decide on them in this one either."""
    if not decision.path or decision.mission_id is None:
        return
    place = {"mission_id": decision.mission_id, "timeline": decision.timeline, "chapter": decision.chapter,
             "path": decision.path, "kind": decision.kind, "edits__gt": 0}  # fmt: skip
    before = [one for one in Decision.objects.filter(**place) if one.action["args"] == decision.action["args"]]
    decision.editors = sorted({*decision.editors, *(editor for one in before for editor in one.editors)})
    decision.save(update_fields=["editors"])


def create(decision: Decision, plans: Sequence[TierPlan]) -> None:
    """Write the tiers of a new decision, let the votes of the round before stand, and open what they leave open.

    Where they leave nothing, it is approved at once by those who approved it before. Caller's transaction and lock.
    """
    _with_editors(decision)
    if not carry(decision, stages.write(decision, plans)):
        stages.open_next(decision)
    elif stages.advance(decision):
        last = quorum.standing(stages.loaded(decision))[-1]
        holding.approve(decision, resolution.answer_of(last, DecisionState.APPROVED))


def carry(decision: Decision, tiers: Sequence[Tier]) -> int:
    """Let the approvals of the round before stand in these tiers, none of which is open yet; how many."""
    before = earlier_round(decision)
    if before is None or decision.choices or not any(vote.carried_from_id is None for vote in before.votes.all()):
        return 0  # what nobody was asked anew about would go round in circles
    count, left = 0, list(before.tiers.all())
    for tier in tiers:
        old = _counterpart(tier, left)
        if old is None:
            continue
        left.remove(old)
        if old.state == TierState.FAILED and old.expired_at is not None and stages.after(tier).exists():
            tier.state, tier.expired_at = TierState.FAILED, old.expired_at
            tier.save(update_fields=["state", "expired_at"])
        count += sum(_copy(vote, decision, tier) for vote in quorum.standing(before) if vote.tier_id == old.pk)
    return count


def _counterpart(tier: Tier, left: Sequence[Tier]) -> Tier | None:
    """The tier of the round before that asked the same approvers, by preference under the same name."""
    same = [old for old in left if coverage.same(old, TierPlan.of_row(tier))]
    return min(same, key=lambda old: (old.label != tier.label, old.order), default=None)


def _copy(vote: Vote, decision: Decision, tier: Tier) -> bool:
    """Write the vote down for the new decision, with the time at which it was cast."""
    if vote.verdict != VoteVerdict.APPROVE or vote.digest != decision.digest:
        return False
    Vote.objects.create(
        decision=decision, tier=tier, mission_id=decision.mission_id, timeline=decision.timeline, voter=vote.voter,
        on_behalf_of=vote.on_behalf_of, delegation=vote.delegation, verdict=vote.verdict, digest=vote.digest,
        comment=vote.comment, reason_code=vote.reason_code, choice=vote.choice, reference=vote.reference,
        channel=vote.channel, cast_at=vote.cast_at, carried_from=vote,
    )
    return True
