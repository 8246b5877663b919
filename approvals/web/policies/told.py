"""What the pages of policies say of a policy: its mode, its versions and who made them, its trail. Reads only."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.db.models import Prefetch, QuerySet

from approvals.models import (
    Decision,
    DecisionKind,
    DecisionState,
    Mode,
    Policy,
    PolicyChange,
    PolicyEvent,
    PolicyVersion,
    VersionState,
)
from approvals.web.words import Sign

MODES: Final = {
    Mode.OFF: Sign("Off", "ban"), Mode.SHADOW: Sign("Shadow", "eye", "info"),
    Mode.ENFORCE: Sign("Enforced", "shield", "ok"),
}  # fmt: skip
MODE_MEANS: Final = {
    Mode.OFF: "It is not evaluated.", Mode.SHADOW: "It is evaluated and recorded, and binds nothing.",
    Mode.ENFORCE: "Its rules bind.",
}  # fmt: skip
STATES: Final = {
    VersionState.DRAFT: Sign("Draft", "document"), VersionState.IN_REVIEW: Sign("In review", "people", "human"),
    VersionState.SHADOW: Sign("In shadow", "eye", "info"), VersionState.ACTIVE: Sign("In force", "check", "ok"),
    VersionState.RETIRED: Sign("Retired", "clock"),
}  # fmt: skip
OPEN_STATES: Final = (VersionState.DRAFT, VersionState.IN_REVIEW, VersionState.SHADOW)
EVENTS_SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One version: who made it, when, why, and what became of it."""

    version: PolicyVersion
    state: Sign
    by: str
    why: str
    change: PolicyChange | None
    rules: int

    @property
    def number(self) -> int:
        """Its number."""
        return self.version.number

    @property
    def decision(self) -> Decision | None:
        """The decision about it, the latest."""
        return self.change.decision if self.change else None

    @property
    def waits_until(self) -> dt.datetime | None:
        """When it comes into force, for one that is approved or asked about for later."""
        return self.change.activate_at if self.change and self.version.state in OPEN_STATES else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    """One policy in the list."""

    policy: Policy
    mode: Sign
    scopes: list[dict[str, Any]]
    active: VersionRow | None
    pending: list[VersionRow]


def _with_details(versions: QuerySet[PolicyVersion]) -> QuerySet[PolicyVersion]:
    changes = PolicyChange.objects.select_related("decision").order_by("-pk")
    return versions.select_related("policy", "created_by").prefetch_related(Prefetch("changes", changes))


def listed() -> list[PolicyRow]:
    """All policies by name, with what is in force and what is not yet."""
    wanted = PolicyVersion.objects.filter(state__in=(*OPEN_STATES, VersionState.ACTIVE)).order_by("-number")
    policies = Policy.objects.order_by("name").prefetch_related(Prefetch("versions", _with_details(wanted), "current"))
    return [_row(policy, [row(version) for version in policy.current]) for policy in policies]


def _row(policy: Policy, current: list[VersionRow]) -> PolicyRow:
    return PolicyRow(
        policy=policy, mode=MODES[Mode(policy.mode)], scopes=scopes(policy),
        active=next((one for one in current if one.version.state == VersionState.ACTIVE), None),
        pending=[one for one in current if one.version.state != VersionState.ACTIVE],
    )  # fmt: skip


def versions(policy: Policy) -> list[VersionRow]:
    """All versions of a policy, the newest first."""
    return [row(version) for version in _with_details(policy.versions.order_by("-number"))]


def one_version(name: str, number: int) -> PolicyVersion | None:
    """One version with its details."""
    return _with_details(PolicyVersion.objects.filter(policy__name=name, number=number)).first()


def row(version: PolicyVersion) -> VersionRow:
    """A version, loaded with its details, as a row."""
    change = next(iter(version.changes.all()), None)
    by = version.created_by.get_username() if version.created_by else ""
    return VersionRow(
        version=version, state=STATES[VersionState(version.state)], by=by or version.created_via,
        why=(change.note if change else "") or (version.created_via if by else ""), change=change,
        rules=len(version.rules),
    )  # fmt: skip


def scopes(policy: Policy) -> list[dict[str, Any]]:
    """The modes by scope: where, and how far it binds there."""
    return [
        {"scope": {name: value for name, value in one.items() if name != "mode"}, "mode": MODES[Mode(one["mode"])],
         "where": " · ".join(f"{name.replace('_', ' ')} {value}" for name, value in one.items() if name != "mode")}
        for one in policy.modes
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, in words."""

    event: PolicyEvent
    what: str
    facts: str


def events(policy: Policy) -> list[Event]:
    """The latest of what happened to a policy, the newest first."""
    found: Iterable[PolicyEvent] = policy.events.select_related("version", "decision").order_by("-seq")[:EVENTS_SHOWN]
    return [_event(one) for one in found]


def _event(event: PolicyEvent) -> Event:
    what = event.what.replace("_", " ")
    told = {name: value for name, value in event.facts.items() if value and not name.endswith("digest")}
    facts = ", ".join(f"{name.replace('_', ' ')}: {_plain(value)}" for name, value in told.items())
    return Event(event=event, what=what[:1].upper() + what[1:], facts=facts)


def _plain(value: Any) -> str:
    if value is True:
        return "yes"
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def mode_changes(policy: Policy) -> list[PolicyChange]:
    """The open decisions about another mode."""
    changes = policy.changes.filter(mode_change__isnull=False, decision__state=DecisionState.OPEN)
    return list(changes.select_related("decision").order_by("pk"))


def seen(user: User, policy: Policy | None = None) -> set[uuid.UUID]:
    """The decisions on changes, of a policy or of all, that this person may open."""
    rows = Decision.objects.visible_to(user).filter(kind=DecisionKind.POLICY_CHANGE)
    return set((rows.filter(policy_change__policy=policy) if policy else rows).values_list("pk", flat=True))
