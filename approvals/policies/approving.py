"""Who has to approve a change of a policy: the tiers that are asked.

By default one policy admin, and for what loosens a governor too. The rules of a policy named `governance`, where one is
in force, say otherwise: they are asked about the tool `policies.change` with the arguments `policy`, `what` (rules or
mode) and `loosens`. They can not do without people, and a change of `governance` itself goes by the default for what
loosens.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User

from approvals.models import Mode, Policy, PolicyVersion, VersionState
from approvals.policies import evaluate, rights, versions
from approvals.policies.document import GOVERNANCE, InvalidPolicy
from missions.engine.clock import database_now
from missions.errors import StandfastError
from missions.governance import EffectClass, Intent, RetrySafety, Ruling, RulingOutcome

Json = dict[str, Any]
GOVERNORS: Final = "governors"
TOOL: Final = "policies.change"
DAY: Final = 86_400


class ChangeDenied(StandfastError):
    """The policy `governance` denies this change."""

    code = "change_denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Who is asked, and by which rules."""

    tiers: tuple[Json, ...]
    policy_version: str = ""
    rules: tuple[str, ...] = ()
    reason: str


def needed(policy: Policy, what: str, loosens: bool, authors: Collection[int]) -> Approval:
    """The tiers for a change (`what` is rules or mode). Raises ChangeDenied."""
    ruling = None if policy.name == GOVERNANCE else _ruled(policy, what, loosens)
    if ruling is not None and ruling.outcome is RulingOutcome.DENY:
        raise ChangeDenied(ruling.reason)
    if ruling is not None and ruling.outcome is RulingOutcome.ESCALATE:
        return Approval(
            tiers=ruling.tiers, policy_version=ruling.policy_version, rules=ruling.rules, reason=ruling.reason
        )
    if loosens or policy.name == GOVERNANCE:
        return Approval(tiers=_higher(authors), reason="It loosens the policy, so two people of higher rank decide.")
    reason = "A change of a policy takes effect when someone else approves it."
    return Approval(tiers=(_tier(rights.EDITORS, 1),), reason=reason)


def _ruled(policy: Policy, what: str, loosens: bool) -> Ruling | None:
    """What `governance` says; None where none of its rules speaks of it, or none can be read."""
    found = PolicyVersion.objects.filter(
        policy__name=GOVERNANCE, policy__mode=Mode.ENFORCE, state=VersionState.ACTIVE
    ).first()
    if found is None:
        return None
    try:
        table = versions.table(found.pk, found.digest, True)
    except InvalidPolicy as error:
        raise ChangeDenied(f"The policy governance can not be read. {error}") from error
    intent = Intent(
        mission_uid=uuid.UUID(int=0), mission_type="", mission_title="", owner_id=None, tool=TOOL,
        args={"policy": policy.name, "what": what, "loosens": loosens}, effect_class=EffectClass.WRITE,
        retry_safety=RetrySafety.KEYED, reversible=True,
    )
    ruling = evaluate.ruling(intent, [table], database_now())
    return ruling if ruling.rules else None


def _higher(authors: Collection[int]) -> tuple[Json, ...]:
    """A policy admin and a governor; two policy admins where there is no governor but the authors."""
    governors = User.objects.filter(is_active=True, groups__name=GOVERNORS).exclude(pk__in=authors)
    if not governors.exists():
        return (_tier(rights.EDITORS, 2),)
    return _tier(rights.EDITORS, 1), _tier(GOVERNORS, 1)


def _tier(group: str, quorum: int) -> Json:
    """Due in a day, and then it waits: nothing that time does puts a policy in force."""
    return {
        "group": group, "quorum": quorum, "sla_seconds": DAY, "expires_seconds": None, "on_expiry": "hold",
    }
