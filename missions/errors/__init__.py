"""Every exception of missions, to be imported from here. An exception's docstring is its message where none is given.

Groups with a module of their own: base, refusals, agents, gateway, llms.
"""

from __future__ import annotations

from typing import Any

from missions.errors.agents import AgentFailed as AgentFailed
from missions.errors.agents import AgentInactive as AgentInactive
from missions.errors.agents import UnknownAgent as UnknownAgent
from missions.errors.base import StandfastError as StandfastError
from missions.errors.gateway import SandboxRefused as SandboxRefused
from missions.errors.gateway import SecretMissing as SecretMissing
from missions.errors.gateway import ServerChanged as ServerChanged
from missions.errors.gateway import ToolChanged as ToolChanged
from missions.errors.gateway import UnknownServer as UnknownServer
from missions.errors.llms import LlmFailed as LlmFailed
from missions.errors.llms import LlmQuotaExhausted as LlmQuotaExhausted
from missions.errors.llms import LlmRefused as LlmRefused
from missions.errors.llms import LlmWait as LlmWait
from missions.errors.refusals import BudgetExhausted as BudgetExhausted
from missions.errors.refusals import ChangesRequested as ChangesRequested
from missions.errors.refusals import Denied as Denied
from missions.errors.refusals import Expired as Expired
from missions.errors.refusals import Refusal as Refusal
from missions.errors.refusals import Rejected as Rejected
from missions.errors.refusals import Stopped as Stopped


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


class EffectNotDone(StandfastError):
    """The effect certainly did not happen."""

    code = "effect_not_done"


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


class UnknownForm(StandfastError):
    """There is no such form of a tool, or nothing is to be decided about it."""

    code = "unknown_form"
