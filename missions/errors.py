"""Every exception of the engine. An exception's docstring is its message where none is given."""

from __future__ import annotations

import inspect
from typing import Any


class StandfastError(Exception):
    """Something in Standfast was refused or went wrong."""

    code = "error"

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or ""))
        self.facts = facts


class InvalidInput(StandfastError):
    """The input does not fit the schema; see the errors by field."""

    code = "invalid_input"

    def __init__(self, message: str | None = None, *, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class UnknownType(StandfastError):
    """No mission type of this name is registered here."""

    code = "unknown_type"


class UnknownTool(StandfastError):
    """No tool of this name is registered here."""

    code = "unknown_tool"


class UnknownMission(StandfastError):
    """There is no such mission."""

    code = "unknown_mission"


class KeyReused(StandfastError):
    """This idempotency key was used with another request."""

    code = "key_reused"


class NotFrozen(StandfastError):
    """The installation is not frozen; there is nothing to thaw."""

    code = "not_frozen"


class MissionEnded(StandfastError):
    """The mission has ended; nothing was delivered."""

    code = "mission_ended"


class ControlRefused(StandfastError):
    """The mission's state does not allow this; nothing was changed."""

    code = "control_refused"


class MissionArchived(StandfastError):
    """The mission has left for the archive."""

    code = "mission_archived"


class NotArchived(StandfastError):
    """The archive holds no such mission."""

    code = "not_archived"


class Kept(StandfastError):
    """The mission may not leave for the archive yet."""

    code = "kept"


class Unrestorable(StandfastError):
    """The bundle can not be restored; nothing was."""

    code = "unrestorable"


class PayloadTooLarge(StandfastError):
    """The value is larger than the limit allows; nothing was stored."""

    code = "payload_too_large"


class Unserialisable(StandfastError):
    """The value can not be written as JSON; return plain data, a dataclass or a Pydantic model."""

    code = "unserialisable"


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


class EffectNotDone(StandfastError):
    """The effect certainly did not happen."""

    code = "effect_not_done"


class Stopped(Refusal):
    """A person chose to stop here rather than to retry an effect in doubt."""

    code = "stopped"
    verdict = "stopped"


class ResultUnusable(StandfastError):
    """The effect happened, but its result is too large or can not be written down; its digest is kept."""

    code = "result_unusable"


class StepFailed(StandfastError):
    """A step failed and its retries are used up; the message is that of the error."""

    code = "step_failed"


class ToolFailed(StandfastError):
    """A tool answered with an error that it declared; the call changed nothing."""

    code = "tool_failed"


class TryLater(StandfastError):
    """The tool certainly did nothing and asks to be called again later (rate limit, connection refused)."""

    code = "try_later"

    def __init__(self, message: str | None = None, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(StandfastError):
    """The call may or may not have happened (time-out, connection lost after sending, an undeclared error)."""

    code = "outcome_unknown"


class StepTimedOut(StandfastError, TimeoutError):
    """A step took longer than its time-out, or was silent for longer than its heartbeat time-out."""

    code = "timed_out"


class GivenUp(StandfastError):
    """This call was given up; nothing that it does from here on is recorded. Return."""

    code = "given_up"


class UnknownArtifact(StandfastError):
    """There is no such artifact."""

    code = "unknown_artifact"


class WorkspaceRefused(StandfastError):
    """The workspace holds what can not be kept."""

    code = "workspace_refused"


class Divergence(StandfastError):
    """The code no longer does what the journal recorded; the mission is paused and nothing ran."""

    code = "divergence"


class MisusedContext(StandfastError):
    """The context was used from a task that is not its branch; use `gather` to run steps side by side."""

    code = "misused_context"


class SpawnRefused(StandfastError):
    """The child can not be started as it was asked for; the message says why."""

    code = "spawn_refused"


class ChildFailed(StandfastError):
    """A child ended without a verdict; `state` and `error` say how."""

    code = "child_failed"

    def __init__(self, message: str | None = None, *, state: str = "", error: str = "") -> None:
        super().__init__(message, state=state, error=error)
        self.state, self.error = state, error


class UnknownSchedule(StandfastError):
    """There is no such schedule."""

    code = "unknown_schedule"


class ScheduleExists(StandfastError):
    """A schedule of this name exists."""

    code = "schedule_exists"


class Guarded(StandfastError):
    """A mission's body or a plain step did what only tools may do; nothing came of it."""

    code = "guarded"


class PooledConnection(StandfastError):
    """The database is reached through a pooler in transaction mode; mission workers need a direct connection."""

    code = "pooled_connection"


class Suspended(BaseException):
    """The mission has left memory; nothing may run here any more. Never catch it."""


class UnknownLimit(StandfastError):
    """There is no such limit."""

    code = "unknown_limit"


class UnknownStop(StandfastError):
    """There is no such stop, or it was lifted before."""

    code = "unknown_stop"


class AlreadyStopped(StandfastError):
    """That is stopped already."""

    code = "already_stopped"


class UnknownBudget(StandfastError):
    """There is no such budget."""

    code = "unknown_budget"
