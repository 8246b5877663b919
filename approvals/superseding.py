"""Approvals and questions that count no more, since what they rested on has changed: evidence, or the mission's goal.

The one way out of `approved`: the votes and the answer stay on the row, with what changed. Where evidence has changed
the mission asks anew; where the goal has, it is answered that changes are requested.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from approvals import resolution
from approvals.models import DecisionState
from missions.governance import Answer

COUNTS = (DecisionState.OPEN, DecisionState.APPROVED)


def supersede(decision_id: uuid.UUID, why: str, changed: Sequence[dict[str, Any]]) -> None:
    """Take an approval back, or close the question. Own transaction; again, or for one that ended otherwise: nothing.

    `facts` keeps `changed` (per source what it told then and tells now) and `approved`, the answer that counted.
    """
    with transaction.atomic():
        decision = resolution.locked(decision_id)
        if decision is None or decision.state not in COUNTS:
            return
        decision.facts = {**decision.facts, "changed": list(changed), "approved": decision.resolution}
        decision.save(update_fields=["facts"])
        resolution.supersede(decision, None, why)


def outdate(decision_id: uuid.UUID, answer: Answer) -> None:
    """Close a question, or an approval that is still held, with this answer. Own transaction; again, or for one that
    ended otherwise: nothing. Whoever asked for it tells the mission, which does not wait for an approval that counts.
    """
    with transaction.atomic():
        decision = resolution.locked(decision_id)
        if decision is None or not (decision.is_open or decision.is_held):
            return
        if decision.is_held:
            decision.facts = {**decision.facts, "approved": decision.resolution}
            decision.save(update_fields=["facts"])
        resolution.settle(decision, DecisionState.SUPERSEDED, answer)
