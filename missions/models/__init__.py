"""The tables of the durable engine."""

from missions.models.agent import Activation, Agent, AgentVersion, Engagement, Goal, Isolation, MemoryScope
from missions.models.archive import Archived, BundlePiece, Hold
from missions.models.blob import Artifact, Blob, BlobUse, Portion
from missions.models.effect import Effect, EffectState
from missions.models.freeze import Freeze
from missions.models.journal import RESTORING, Checkpoint, Entry, Kind, Payload
from missions.models.limit import Circuit, CircuitChange, CircuitState, Limit, Permit, Scope
from missions.models.listener import Listener
from missions.models.mission import ENDED, Brief, Mission, Outcome, State
from missions.models.outgoing import Handed, OutgoingMail
from missions.models.period_budget import (
    BudgetAccount,
    BudgetCharge,
    BudgetWait,
    ChargeState,
    Counted,
    Exhausted,
    Period,
    PeriodBudget,
    Subject,
)
from missions.models.progress import Progress
from missions.models.relation import Child, Dependency, OnFailure, OnParentEnd, SharedChild
from missions.models.resource import AwaitedResource
from missions.models.restriction import RestrictedScope, Restriction
from missions.models.sandbox_check import SandboxCheck
from missions.models.schedule import Missed, Schedule
from missions.models.secret import Secret
from missions.models.sign_in import SignIn
from missions.models.signal import Signal
from missions.models.stop import Held, Stop, StopScope
from missions.models.timeline import Timeline
from missions.models.token import ApiToken
from missions.models.tool_form import FormState, FormWait, ServerVersion, ToolForm, ToolServer
from missions.models.worker import Alarm, Takeover, Worker
from missions.models.wrong import Forked, WrongMark

__all__ = [
    "ENDED", "RESTORING", "Activation", "Agent", "AgentVersion", "Alarm", "ApiToken", "Archived", "Artifact",
    "AwaitedResource", "Blob", "BlobUse", "Brief", "BudgetAccount", "BudgetCharge", "BudgetWait", "BundlePiece",
    "ChargeState", "Checkpoint", "Child", "Circuit", "CircuitChange", "CircuitState", "Counted", "Dependency", "Effect",
    "EffectState", "Engagement", "Entry", "Exhausted", "Forked", "FormState", "FormWait", "Freeze", "Goal", "Handed",
    "Held", "Hold", "Isolation", "Kind", "Limit", "Listener", "MemoryScope", "Missed", "Mission", "OnFailure",
    "OnParentEnd", "Outcome", "OutgoingMail", "Payload", "Period", "PeriodBudget", "Permit", "Portion", "Progress",
    "RestrictedScope", "Restriction", "SandboxCheck", "Schedule", "Scope", "Secret", "ServerVersion", "SharedChild",
    "SignIn", "Signal", "State", "Stop", "StopScope", "Subject", "Takeover", "Timeline", "ToolForm", "ToolServer",
    "Worker", "WrongMark",
]
