"""Reminders as events: what `approvals.reminding` makes is told like all else. Loaded by `ApprovalsConfig.ready`."""

from __future__ import annotations

from typing import Any

from approvals import reminding
from approvals.models import Decision
from approvals.outbound import events


def tell(event: str, *, decision: Decision, facts: dict[str, Any]) -> None:
    """Emit a reminder, in the transaction that stamps it."""
    due_at = facts["due_at"].isoformat() if facts["due_at"] else None
    events.emit(event, decision=decision, facts={"tier": facts["tier"], "due_at": due_at})


reminding.tell_by(tell)
