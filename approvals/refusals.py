"""Why a vote or a claim was refused. Each exception carries the facts that its reader needs to go on.

A docstring is the default message. Nothing here touches the database.
"""

from __future__ import annotations

from typing import Any

from missions.errors import StandfastError


class VoteRefused(StandfastError):
    """The vote was not recorded."""

    code = "vote_refused"


class UnknownDecision(VoteRefused):
    """There is no such decision."""

    code = "unknown_decision"


class NotOpen(VoteRefused):
    """This decision is settled; nothing was recorded. Facts: `state`, `resolution`, `superseded_by`."""

    code = "decision_closed"

    def __init__(self, message: str | None = None, *, state: str, resolution: Any, superseded_by: Any) -> None:
        super().__init__(
            message or f"This decision is settled already: {state.replace('_', ' ')}. Nothing was recorded.",
            state=state, resolution=resolution, superseded_by=str(superseded_by) if superseded_by else None,
        )


class StaleDigest(VoteRefused):
    """What is asked has changed since you saw it; nothing was recorded. Facts: `digest`, the current one."""

    code = "stale_digest"

    def __init__(self, *, digest: str) -> None:
        super().__init__("What is asked has changed since you saw it. Nothing was recorded.", digest=digest)


class NotEligible(VoteRefused):
    """You may not decide this."""

    code = "not_eligible"


class AlreadyVoted(VoteRefused):
    """You have voted on this decision, and a vote stands. Facts: `verdict`, `cast_at`."""

    code = "already_voted"

    def __init__(self, *, verdict: str, cast_at: str) -> None:
        super().__init__(verdict=verdict, cast_at=cast_at)


class NotHeld(VoteRefused):
    """No approval is held here, or its time is over; there is nothing to undo."""

    code = "not_held"


class BadVote(VoteRefused):
    """The vote is incomplete; see the errors by field."""

    code = "invalid_vote"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(" ".join(error["message"] for error in errors))
        self.errors = errors
