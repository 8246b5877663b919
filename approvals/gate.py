"""The gate: what policy says of a mission's intents, through the port `missions.governance.Gate`.

Promises: a fault of a policy or of its evaluation denies, and is logged; only the database's own errors leave here,
and the engine takes those as no ruling and asks again. Nothing is locked; `ask` opens decisions through the queue.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace

from approvals import coverage, queue, quorum, superseding
from approvals.models import Decision, DecisionKind, DecisionState
from approvals.plans import plans_of
from approvals.policies import evaluate, versions
from missions.engine.clock import database_now
from missions.governance import Answer, DecisionRequest, Intent, Json, Ruling, RulingOutcome

logger = logging.getLogger(__name__)


class PolicyGate:
    """Implements `missions.governance.Gate` by the policies in force and the decision queue."""

    def rule(self, intent: Intent) -> Ruling:
        """What the policies in force say now. Raises only what the database raises."""
        force = versions.in_force()
        if force.unreadable:
            return evaluate.unjudged(force.unreadable)
        try:
            return evaluate.ruling(intent, force.tables_for(intent), force.now)
        except Exception as error:  # whatever breaks the evaluation may not open the gate; it is logged and denied
            logger.exception("A ruling broke", extra={"action": "ruling_broke", "tool": intent.tool})
            return evaluate.unjudged(f"The evaluation broke: {type(error).__name__}.")

    def ask(self, request: DecisionRequest) -> Answer | None:
        """Open the decision, or find it; its answer where it has one."""
        return queue.open_decision(request)

    def withdraw(self, decision_id: uuid.UUID, why: str) -> None:
        """Close a decision that the mission needs no more."""
        queue.withdraw(decision_id, why)

    def supersede(self, decision_id: uuid.UUID, why: str, changed: Sequence[Json]) -> None:
        """Take an approval back whose evidence has changed."""
        superseding.supersede(decision_id, why, changed)

    def outdate(self, decision_id: uuid.UUID, answer: Answer) -> None:
        """Close a question that was asked under another goal."""
        superseding.outdate(decision_id, answer)

    def confirm(self, intent: Intent, ruling: Ruling, decision_id: uuid.UUID | None, digest: str) -> Ruling:
        """Rule again. An escalation is allowed only where `decision_id` answers all that is demanded now.

        The decision has to be this mission's, approved, for exactly this digest, and every tier of the new ruling
        covered by people who may still approve; else the escalation is returned, with what is missing. `ruling` is
        what was said when it was asked, and counts for nothing here.
        """
        current = self.rule(intent)
        if current.outcome is not RulingOutcome.ESCALATE or decision_id is None:
            return current
        decision = _decision(decision_id, intent)
        missing = _missing(decision, current, digest)
        if decision is None or missing:
            return replace(current, reason=f"{missing} {current.reason}")
        by = ", ".join(quorum.counting(decision))
        return replace(current, outcome=RulingOutcome.ALLOW, reason=f"Approved by {by}.")


def _decision(decision_id: uuid.UUID, intent: Intent) -> Decision | None:
    """The decision, if it is about an action of the intent's own mission."""
    mine = Decision.objects.select_related("mission__brief").filter(mission__uid=intent.mission_uid)
    return mine.filter(pk=decision_id, kind=DecisionKind.ACTION).first()


def _missing(decision: Decision | None, current: Ruling, digest: str) -> str:
    """Why the decision does not answer for this ruling, in words for people; empty where it does."""
    if decision is None:
        return "The approval is not for an action of this mission."
    if decision.state != DecisionState.APPROVED:
        return f"The decision is {decision.get_state_display().lower()}, not approved."
    if decision.is_held:
        return "The approval is held back and can still be undone."
    if not digest or decision.digest != digest:
        return "Something else was approved than what is to be done now."
    if current.hold_seconds > decision.hold_seconds and not _has_lain(decision, current.hold_seconds):
        return "Policy holds an approval back for longer by now than this one was."
    return coverage.missing(decision, plans_of(current.tiers))


def _has_lain(decision: Decision, seconds: float) -> bool:
    """Whether the approval is so old that everybody had this long to take it back."""
    given = decision.resolved_at
    return given is not None and given + dt.timedelta(seconds=seconds) <= database_now()
