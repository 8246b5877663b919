"""The tables of governance: policies, decisions, votes, and what is told of them outside."""

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
from approvals.models.outbound import (
    Channel,
    Delivery,
    DeliveryState,
    DeliveryTry,
    DigestEvery,
    Event,
    EventKind,
    External,
    Follower,
    NotificationChoice,
    Webhook,
    WebhookFormat,
)
from approvals.models.policy import Mode, Policy, PolicyChange, PolicyEvent, PolicyVersion, VersionState

__all__ = [
    "Channel", "Decision", "DecisionKind", "DecisionState", "Delivery", "DeliveryState", "DeliveryTry", "DigestEvery",
    "Event", "EventKind", "External", "Follower", "Mode", "NotificationChoice", "OnExpiry", "Policy", "PolicyChange",
    "PolicyEvent", "PolicyVersion", "Tier", "TierState", "VersionState", "Vote", "VoteVerdict", "Webhook",
    "WebhookFormat",
]
