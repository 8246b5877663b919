"""Running a draft in shadow before anybody agreed to it: evaluated beside what is in force, recorded, binding nothing.

It needs no other people, since nothing follows from it; whatever binds goes through `lifecycle.submit`. One version of
a policy at a time: the one that ran before is a draft again.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from approvals.models import DecisionState, Policy, PolicyVersion, VersionState
from approvals.policies import document, rights, trail, versions
from approvals.policies.lifecycle import WrongState
from approvals.policies.trail import Via


def begin(version: PolicyVersion, *, by: User, via: str = "") -> PolicyVersion:
    """Evaluate a draft from now on. A second time it changes nothing. Own transaction.

    Raises Forbidden, InvalidPolicy, WrongState: only a draft can run in shadow, and not one that was approved for a
    time and withdrawn, which the alarm of that time would take for approved.
    """
    rights.demand(by)
    document.check({"name": version.policy.name, "rules": version.rules})
    with transaction.atomic():
        policy = versions.locked(version.policy_id)
        version.refresh_from_db(fields=["state"])
        if is_by_hand(version):
            return version
        if version.state != VersionState.DRAFT:
            told = version.get_state_display().lower()
            raise WrongState(f"{version} is {told}; only a draft can run in shadow.", state=version.state)
        if version.changes.filter(decision__state=DecisionState.APPROVED).exists():
            raise WrongState(f"{version} was approved once; edit it as a new draft first.", state=version.state)
        how = Via(by=by, through=via)
        _end_others(policy, version, how)
        _move(policy, version, VersionState.SHADOW, "shadowed", how)
    return version


def end(version: PolicyVersion, *, by: User, via: str = "") -> PolicyVersion:
    """Evaluate it no longer: a draft again. Own transaction. Raises Forbidden, WrongState."""
    rights.demand(by)
    with transaction.atomic():
        policy = versions.locked(version.policy_id)
        version.refresh_from_db(fields=["state"])
        if not is_by_hand(version):
            raise WrongState(f"{version} does not run in shadow by itself.", state=version.state)
        _move(policy, version, VersionState.DRAFT, "shadow_ended", Via(by=by, through=via))
    return version


def is_by_hand(version: PolicyVersion) -> bool:
    """Whether it runs in shadow without waiting for the time of its activation."""
    return (
        version.state == VersionState.SHADOW
        and not version.changes.filter(decision__state=DecisionState.APPROVED).exists()
    )


def _end_others(policy: Policy, version: PolicyVersion, how: Via) -> None:
    for other in policy.versions.filter(state=VersionState.SHADOW).exclude(pk=version.pk).order_by("pk"):
        if is_by_hand(other):
            _move(policy, other, VersionState.DRAFT, "shadow_ended", how)


def _move(policy: Policy, version: PolicyVersion, state: VersionState, what: str, how: Via) -> None:
    version.state = state
    version.save(update_fields=["state"])
    trail.record(policy, what, how, version=version)
