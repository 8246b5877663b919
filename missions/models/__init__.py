"""The tables of the durable engine."""

from missions.models.archive import Archived, BundlePiece, Hold
from missions.models.effect import Effect, EffectState
from missions.models.freeze import Freeze
from missions.models.journal import RESTORING, Checkpoint, Entry, Kind, Payload
from missions.models.limit import Circuit, CircuitChange, CircuitState, Limit, Permit, Scope
from missions.models.mission import ENDED, Brief, Mission, Outcome, State
from missions.models.signal import Signal
from missions.models.timeline import Timeline
from missions.models.token import ApiToken
from missions.models.worker import Alarm, Takeover, Worker

__all__ = [
    "ENDED", "RESTORING", "Alarm", "ApiToken", "Archived", "Brief", "BundlePiece", "Checkpoint", "Circuit",
    "CircuitChange", "CircuitState", "Effect", "EffectState", "Entry", "Freeze", "Hold", "Kind", "Limit", "Mission",
    "Outcome", "Payload", "Permit", "Scope", "Signal", "State", "Takeover", "Timeline", "Worker",
]
