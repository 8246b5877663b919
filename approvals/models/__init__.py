"""The tables of governance: policies, decisions, votes."""

from approvals.models.decision import (
    Decision,
    DecisionKind,
    DecisionState,
    OnExpiry,
    Tier,
    TierState,
    Vote,
    VoteVerdict,
)
from approvals.models.policy import Mode, Policy, PolicyChange, PolicyEvent, PolicyVersion, VersionState

__all__ = [
    "Decision", "DecisionKind", "DecisionState", "Mode", "OnExpiry", "Policy", "PolicyChange", "PolicyEvent",
    "PolicyVersion", "Tier", "TierState", "VersionState", "Vote", "VoteVerdict",
]
