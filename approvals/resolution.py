"""How a decision ends. Owns the one transition out of `open` and the delivery of the answer to the mission.

Callers hold the row lock of the decision (docs/locking.md) inside their own transaction, and delivering is the last
thing that they do in it. Nothing here ever approves by itself.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid

from django.db import transaction

from approvals import quorum, settling
from approvals.budgets import answering
from approvals.models import Decision, DecisionKind, DecisionState, Tier, TierState, Vote
from approvals.outbound import events
from missions.engine import feed, mailbox
from missions.engine.clock import database_now
from missions.errors import MissionEnded
from missions.governance import Answer

logger = logging.getLogger(__name__)


def locked(decision_id: uuid.UUID) -> Decision | None:
    """The decision under its row lock, or None. Every change to a decision or its tiers starts here."""
    rows = Decision.objects.select_for_update(of=("self",)).select_related("mission__brief")
    return rows.filter(pk=decision_id).first()


def settle(decision: Decision, state: DecisionState, answer: Answer) -> None:
    """Close the decision with this answer and its open tiers with it; the mission is told by `tell_mission`."""
    decision.state, decision.resolution = state, {**answer.as_json(), "by": list(answer.by)}
    decision.resolved_at = dt.datetime.fromisoformat(answer.at)
    decision.claimed_by = decision.claimed_until = None
    decision.save(
        update_fields=[
            "state", "resolution", "resolved_at", "claimed_by", "claimed_until", "superseded_by", "hold_until",
            "released_at",
        ]
    )
    if state != DecisionState.APPROVED:
        Tier.objects.filter(decision=decision, state=TierState.OPEN).close(TierState.FAILED)
    announce(decision)
    if not decision.is_held:  # what can still be undone is told once it can not (`holding.release`)
        events.emit("decision.settled", decision=decision)
    facts = {"action": "decision_settled", "decision": str(decision.pk), "state": str(state), "by": ",".join(answer.by)}
    logger.info("A decision is settled", extra=facts)
    settling.settled(decision)


def announce(decision: Decision) -> None:
    """Tell the watchers of the queue and of the mission, on commit."""
    feed.announce("q", *([f"m{decision.mission_id}"] if decision.mission_id else []))


def tell_mission(decision: Decision, sender: str = "") -> None:
    """Deliver the answer: the last statement of the transaction. The key makes a second delivery change nothing.

    That of a period budget goes to all missions that wait for it. Raises MissionEnded.
    """
    if decision.mission_id is None and decision.resolution is not None and decision.kind == DecisionKind.BUDGET:
        answering.apply(decision.facts, decision.resolution)
    if decision.mission_id is not None and decision.resolution is not None:
        name = f"decision:{decision.pk}"
        mailbox.deliver(decision.mission_id, name, decision.resolution, key=name, sender=sender)


def expire(decision: Decision) -> None:
    """Nobody answered in time and that counts as a refusal; not the same as a rejection by a person."""
    answer = Answer(verdict="expired", digest=decision.digest, at=_now(), comment="Nobody decided in time.")
    try:
        with transaction.atomic():
            settle(decision, DecisionState.EXPIRED, answer)
            tell_mission(decision)
    except MissionEnded:
        withdraw(decision, "The mission has ended.")


def withdraw(decision: Decision, why: str) -> None:
    """Close it because nobody needs the answer any more; nothing is delivered."""
    answer = Answer(verdict="withdrawn", digest=decision.digest, at=_now(), comment=why)
    settle(decision, DecisionState.WITHDRAWN, answer)


def supersede(decision: Decision, by: Decision | None, why: str) -> None:
    """Close it because another question took its place; nothing is delivered, for the mission waits for the other."""
    decision.superseded_by = by
    answer = Answer(verdict="superseded", digest=decision.digest, at=_now(), comment=why)
    settle(decision, DecisionState.SUPERSEDED, answer)


def answer_of(vote: Vote, verdict: DecisionState) -> Answer:
    """What a settling vote tells the mission. An approval names all whose votes count, a refusal its one voter."""
    approved = verdict == DecisionState.APPROVED
    by = quorum.counting(vote.decision) if approved else [vote.voter.get_username()]
    return Answer(
        verdict=str(verdict), digest=vote.digest, by=tuple(by), at=_now(), comment=vote.comment,
        reason_code=vote.reason_code, choice=vote.choice, reference=vote.reference, value=vote.answer,
        edited_args=vote.decision.action["args"] if approved and vote.decision.edits else None,
        edit=vote.decision.edits if approved else 0,
    )


def answer_for_mission(decision: Decision) -> Answer | None:
    """How it ended, once the mission may know: an approval that is held is no answer yet."""
    return Answer.from_json(decision.resolution) if decision.resolution and not decision.is_held else None


def _now() -> str:
    return database_now().isoformat()
