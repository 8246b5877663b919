"""Who may see a decision, kept on the decision itself, so that lists of any length are filtered by an index."""

from __future__ import annotations

from approvals.models import Decision, TierApprover, Vote
from approvals.models.reach import group_token, person_token, seat_token


def refresh(decision: Decision) -> None:
    """Let all whom a tier names, who voted, and who asked, see it. To be called when seats were written or taken."""
    seats = list(TierApprover.objects.filter(decision=decision).values_list("group", "person"))
    seated = {person for _, person in seats if person}
    voted = set(Vote.objects.filter(decision=decision).values_list("voter", flat=True))
    asked = {user for user in (decision.requested_by_id,) if user is not None}
    decision.audience = sorted({
        *(group_token(group) for group, _ in seats if group), *map(seat_token, seated),
        *map(person_token, seated | voted | asked),
    })  # fmt: skip
    decision.save(update_fields=["audience"])
