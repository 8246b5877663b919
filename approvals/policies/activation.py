"""What follows from a decision about a policy: the version comes into force, at once or at its time, or goes back.

Registered with `approvals.settling` and as alarms by `ApprovalsConfig.ready`. Lock order: alarm, decision, policy.
Nothing here decides: a change takes effect only if its decision was approved, for what there is now, by people who
still count.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from approvals import quorum, resolution, settling, tiers
from approvals.models import (
    Decision,
    DecisionKind,
    DecisionState,
    Policy,
    PolicyChange,
    TierState,
    VersionState,
)
from approvals.policies import changes, gains, trail, versions
from approvals.policies.modes import Modes
from approvals.policies.trail import Via
from approvals.roll import Roll
from missions.engine import alarms
from missions.engine.clock import database_now

WROTE = "You wrote a part of this change, so someone else has to decide."
OVERTAKEN = "The policy has changed meanwhile, so the change is compared and asked anew."


@settling.bars(DecisionKind.POLICY_CHANGE)
def barred(decision: Decision) -> Mapping[int, str]:
    """Who edited the draft, and who would gain by the change."""
    change = _change(decision)
    if change is None:
        return {}
    authors = changes.lineage(change.version) if change.version else set()
    return gains.gainers(change.gains) | dict.fromkeys(authors, WROTE)


@settling.before_votes(DecisionKind.POLICY_CHANGE)
def catch_up(decision: Decision) -> None:
    """Ask anew where the policy is not what it was when this was asked. Keeps the policy's row until the vote is in."""
    change = _change(decision)
    if change is not None:
        change.decision, policy = decision, versions.locked(change.policy_id)
        if changes.is_outdated(change, policy):
            changes.ask_anew(change, policy, OVERTAKEN)


@settling.on_settled(DecisionKind.POLICY_CHANGE)
def settled(decision: Decision) -> None:
    """Carry out what was approved; send back what was not."""
    change = _change(decision)
    if change is None or decision.state == DecisionState.SUPERSEDED:
        return
    change.decision, policy = decision, versions.locked(change.policy_id)
    if decision.state != DecisionState.APPROVED:
        _send_back(change, policy)
    elif changes.is_outdated(change, policy):
        changes.ask_anew(change, policy, OVERTAKEN)
    elif change.activate_at is not None and change.activate_at > database_now():
        _schedule(change, policy)
    else:
        _carry_out(change, policy)


@alarms.handler("policy.activate")
def activate(subject: str, nominal_at: dt.datetime) -> None:
    """The time of an approved change has come."""
    change = PolicyChange.objects.filter(pk=subject).first()
    decision = resolution.locked(change.decision_id) if change else None
    if change is None or decision is None:
        return
    change.decision, policy = decision, versions.locked(change.policy_id)
    if not _is_scheduled(change):
        return
    if changes.is_outdated(change, policy):
        _ask_again(change, policy, OVERTAKEN)
    elif not _still_approved(decision):
        _ask_again(change, policy, "Not everybody who approved it may still do so.")
    else:
        _carry_out(change, policy)


@alarms.handler("policy.recheck")
def recheck(subject: str, nominal_at: dt.datetime) -> None:
    """The policy has changed: what was asked about it before is asked anew."""
    asked = Decision.objects.filter(kind=DecisionKind.POLICY_CHANGE, policy_change__policy=int(subject))
    waiting = asked.filter(state=DecisionState.OPEN) | asked.filter(
        state=DecisionState.APPROVED, policy_change__version__state=VersionState.SHADOW
    )
    held = [resolution.locked(pk) for pk in waiting.order_by("pk").values_list("pk", flat=True)]
    policy = versions.locked(int(subject))
    for decision in held:
        change = _change(decision) if decision is not None else None
        if change is None or decision is None:
            continue
        change.decision = decision
        pending = decision.is_open or (decision.state == DecisionState.APPROVED and _is_scheduled(change))
        if pending and changes.is_outdated(change, policy):
            _ask_again(change, policy, OVERTAKEN)


def _change(decision: Decision) -> PolicyChange | None:
    rows = PolicyChange.objects.select_related("decision__requested_by", "version__base", "policy")
    return rows.filter(decision=decision).first()


def _is_scheduled(change: PolicyChange) -> bool:
    """Whether it was approved and waits for its time; it may have been withdrawn, or submitted again."""
    version = change.version
    if version is None:
        return change.decision.state == DecisionState.APPROVED
    version.refresh_from_db(fields=["state"])
    newest = version.changes.order_by("-pk").values_list("pk", flat=True).first()
    return version.state == VersionState.SHADOW and newest == change.pk


def _still_approved(decision: Decision) -> bool:
    """Whether each tier has its quorum by the membership of now."""
    fresh = tiers.loaded(decision)
    met = {tier.order for tier in fresh.tiers.all() if tier.state == TierState.MET}
    return not any(order in met for order, _ in quorum.tally(fresh, Roll.call([fresh])).lacking)


def _schedule(change: PolicyChange, policy: Policy) -> None:
    at, version = change.activate_at, change.version
    assert at is not None and version is not None  # only versions are scheduled
    _move(change, VersionState.SHADOW)
    alarms.set_alarm(f"policy.activate:{change.pk}", at)
    trail.record(
        policy, "scheduled", Via(through="decision"), version=version, decision=change.decision,
        activate_at=at.isoformat(), approved_by=quorum.counting(change.decision),
    )


def _carry_out(change: PolicyChange, policy: Policy) -> None:
    how, by = Via(through=f"decision {change.decision_id}"), quorum.counting(change.decision)
    if change.version is not None:
        versions.put_in_force(policy, change.version, how, decision_digest=change.decision.digest, approved_by=by)
    elif change.mode_change is not None:
        after = Modes.of(policy.mode, policy.modes).changed(*changes.mode_of(change.mode_change))
        versions.keep_modes(policy, after, how, decision_digest=change.decision.digest, approved_by=by)


def _send_back(change: PolicyChange, policy: Policy) -> None:
    """A draft again, with the reason on the record."""
    _move(change, VersionState.DRAFT)
    decision = change.decision
    resolution_of = decision.resolution or {}
    trail.record(
        policy, "sent_back", Via(through="decision"), version=change.version, decision=decision,
        why=str(resolution_of.get("comment", "")), state=str(decision.state), answered_by=resolution_of.get("by", []),
    )


def _ask_again(change: PolicyChange, policy: Policy, why: str) -> None:
    _move(change, VersionState.IN_REVIEW)
    changes.ask_anew(change, policy, why)


def _move(change: PolicyChange, state: VersionState) -> None:
    if change.version is not None:
        change.version.state = state
        change.version.save(update_fields=["state"])
