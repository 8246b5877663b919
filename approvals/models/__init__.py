"""The tables of governance: policies, decisions, tiers, votes, delegations, calendars, and what is told outside."""

from approvals.models.calendar import Calendar, Holiday
from approvals.models.decision import Decision, DecisionKind, DecisionState, ReasonCode, Vote, VoteVerdict
from approvals.models.delegation import Delegation, DelegationFact, Profile
from approvals.models.inbound import Arrival, ArrivalOutcome, By, Hook, HookVersion, Scheme, Verb
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
from approvals.models.simulation import Change, Replay, ReplayDifference, ReplayPart
from approvals.models.thread import Comment, Look, Retraction, Seen
from approvals.models.tier import OnExpiry, Tier, TierApprover, TierState

__all__ = [
    "Arrival", "ArrivalOutcome", "By", "Calendar", "Change", "Channel", "Comment", "Decision", "DecisionKind",
    "DecisionState", "Delegation", "DelegationFact", "Delivery", "DeliveryState", "DeliveryTry", "DigestEvery",
    "Event", "EventKind", "External", "Follower", "Holiday", "Hook", "HookVersion", "Look", "Mode",
    "NotificationChoice", "OnExpiry", "Policy", "PolicyChange", "PolicyEvent", "PolicyVersion", "Profile",
    "ReasonCode", "Replay", "ReplayDifference", "ReplayPart", "Retraction", "Scheme", "Seen", "Tier", "TierApprover",
    "TierState", "Verb", "VersionState", "Vote", "VoteVerdict", "Webhook", "WebhookFormat",
]
