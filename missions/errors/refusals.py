"""What policy, people or a budget said no to: unhandled, it ends a mission as completed with a verdict of its own."""

from __future__ import annotations

from missions.errors.base import StandfastError


class Refusal(StandfastError):
    """An intent was refused. Unhandled, it ends the mission as completed with this verdict, never as failed."""

    code = "refused"
    verdict = "refused"


class Denied(Refusal):
    """Policy denies this action."""

    code = "denied"
    verdict = "denied"


class Rejected(Refusal):
    """A person rejected this action."""

    code = "rejected"
    verdict = "rejected"


class Expired(Rejected):
    """Nobody decided in time, and the policy says that this counts as a rejection."""

    code = "expired"
    verdict = "expired"


class ChangesRequested(Refusal):
    """A person asks for changes before deciding; `comment` says which, `reason_code` of what kind."""

    code = verdict = "changes_requested"

    def __init__(self, comment: str, reason_code: str = "") -> None:
        super().__init__(f"Changes requested: {comment}", reason_code=reason_code)
        self.comment, self.reason_code = comment, reason_code


class BudgetExhausted(Refusal):
    """A budget of the mission is used up, and people did not allow more."""

    code = "budget_exhausted"
    verdict = "budget_exhausted"


class Stopped(Refusal):
    """A person chose to stop here rather than to retry an effect in doubt."""

    code = "stopped"
    verdict = "stopped"
