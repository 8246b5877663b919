"""Policy versions in the database: making them, putting one in force, and reading what is in force now.

The rules of a version never change, so compiled tables are kept per version; which versions are in force is asked
each time, so that a change made by any process binds the next ruling. Nothing here raises for a stored policy that
can not be read: it is reported, and the gate denies. Who may ask for what is decided elsewhere (lifecycle).
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from approvals.models import Mode, Policy, PolicyVersion, VersionState
from approvals.policies import document, trail
from approvals.policies.document import GOVERNANCE, Document, InvalidPolicy, Problem
from approvals.policies.modes import Modes
from approvals.policies.rules import Table
from approvals.policies.trail import Via
from missions.engine import codec
from missions.engine.alarms import set_alarm
from missions.engine.clock import database_now
from missions.governance import Intent
from missions.models.fields import DatabaseNow

logger = logging.getLogger(__name__)

NO_TIME: Final = dt.datetime.min.replace(tzinfo=dt.UTC)  # where no table is in force, nobody reads the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Governing:
    """A version that is evaluated, and how far it binds."""

    pk: int
    digest: str
    modes: Modes

    def table(self, mode: Mode) -> Table | None:
        """Its rules, compiled; None where the mode is off. Raises InvalidPolicy."""
        return None if mode == Mode.OFF else table(self.pk, self.digest, mode == Mode.ENFORCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The tables that are evaluated now, policies by name, and why some that bind could not be read."""

    tables: tuple[Table, ...]  # in the mode of the whole policy
    now: dt.datetime
    unreadable: str = ""
    by_scope: tuple[Governing, ...] = ()  # all of them, where some policy has other modes by scope

    def tables_for(self, intent: Intent) -> tuple[Table, ...]:
        """The tables in the modes that apply to this intent."""
        if not self.by_scope:
            return self.tables
        found = (one.table(one.modes.covering(intent)) for one in self.by_scope)
        return tuple(one for one in found if one is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What loading a document did."""

    version: PolicyVersion
    created: bool  # False: the same rules were there already
    activated: bool = False  # False: a draft, or in force already
    retired: PolicyVersion | None = None  # what it took the place of
    mode: Mode | None = None  # the new mode of the policy, where it changed


def load(written: Document, *, activate: bool = False, by: User | None = None, via: str = "") -> Loaded:
    """Keep the rules as a draft, or put them in force at once. Own transaction.

    The rules of the active version, or of the newest, make no new version. The mode of the file is taken over with
    the activation, or where the policy is new. `via` says how it came in; an activation from here is a bypass of the
    review and writes it over what was there.
    """
    how = Via(by=by, through=via)
    with transaction.atomic():
        policy = opened(written.name, written.mode)
        version, created = _kept(policy, written, how)
        if not activate:
            return Loaded(version=version, created=created)
        return _bypassed(policy, version, created, written.mode, how)


def opened(name: str, mode: Mode | None = None) -> Policy:
    """The policy of this name under its row lock, made where there is none. Inside the caller's transaction."""
    Policy.objects.get_or_create(name=name, defaults={"mode": mode or Mode.ENFORCE})
    return Policy.objects.select_for_update().get(name=name)


def locked(policy_id: int) -> Policy:
    """The policy under its row lock: after the decision's, before all else (docs/locking.md)."""
    return Policy.objects.select_for_update().get(pk=policy_id)


def active(policy: Policy) -> PolicyVersion | None:
    """The version that is in force."""
    return policy.versions.filter(state=VersionState.ACTIVE).first()


def _kept(policy: Policy, written: Document, how: Via) -> tuple[PolicyVersion, bool]:
    newest = policy.versions.order_by("-number").first()
    for version in (active(policy), newest):
        if version is not None and version.digest == written.digest:
            return version, False
    return make(policy, written, how), True


def make(
    policy: Policy, written: Document, how: Via, *, base: PolicyVersion | None = None, **facts: Any
) -> PolicyVersion:
    """A new draft of the policy. The caller holds the policy's row."""
    newest = policy.versions.order_by("-number").first()
    made = policy.versions.create(
        number=newest.number + 1 if newest else 1, rules=written.written, digest=written.digest, created_by=how.by,
        created_via=how.through[:200] if how.by is None else "", base=base,
    )
    trail.record(policy, "saved", how, version=made, digest=made.digest, **facts)
    return made


def _bypassed(policy: Policy, version: PolicyVersion, created: bool, mode: Mode | None, how: Via) -> Loaded:
    """Put the version in force past the review. The caller holds the policy's row."""
    changed = mode if mode is not None and mode != policy.mode else None
    if changed:
        keep_modes(policy, Modes.of(changed, policy.modes), how)
    if version.state == VersionState.ACTIVE:
        return Loaded(version=version, created=created, mode=changed)
    version.created_via = how.through[:200] or version.created_via
    version.save(update_fields=["created_via"])
    retired = put_in_force(policy, version, how)
    return Loaded(version=version, created=created, activated=True, retired=retired, mode=changed)


def put_in_force(policy: Policy, version: PolicyVersion, how: Via, **facts: Any) -> PolicyVersion | None:
    """Make the version the active one; which it took the place of. The caller holds the policy's row.

    Changes of this policy that are still asked about are looked at again by an alarm: they were compared with another
    version. Open decisions about actions are brought up to date by another alarm.
    """
    retired = active(policy)
    if retired is not None:  # first, for only one may be active
        retired.state = VersionState.RETIRED
        retired.save(update_fields=["state"])
    version.state, version.activated_at = VersionState.ACTIVE, database_now()
    version.save(update_fields=["state", "activated_at"])
    told = {"in_place_of": retired.number if retired else None, **facts}
    trail.record(policy, "activated", how, version=version, **told)
    recheck(policy)
    set_alarm("decision.refresh:all", database_now())
    said = {"action": "policy_activated", "policy": str(version), "via": how.through}
    logger.info("A policy version is in force", extra=said)
    return retired


def keep_modes(policy: Policy, modes: Modes, how: Via, **facts: Any) -> None:
    """Give the policy other modes. The caller holds the policy's row."""
    before = {"mode": policy.mode, "modes": policy.modes}
    policy.mode, policy.modes = modes.whole, list(modes.rows)
    policy.save(update_fields=["mode", "modes"])
    after = {"mode": str(modes.whole), "modes": list(modes.rows)}
    trail.record(policy, "mode", how, before=before, after=after, **facts)
    recheck(policy)
    said = {"action": "policy_mode", "policy": policy.name, "via": how.through}
    logger.info("A policy has another mode", extra=said)


def recheck(policy: Policy) -> None:
    """Have the pending changes of this policy looked at, where there are some; joins the caller's transaction."""
    if policy.changes.filter(Q(decision__state="open") | Q(version__state=VersionState.SHADOW)).exists():
        set_alarm(f"policy.recheck:{policy.pk}", database_now())


def in_force(trial: PolicyVersion | None = None) -> InForce:
    """What is evaluated now. One query, and one more for each version that this process has not seen yet.

    With a trial, what would be, were this version active in the place of its policy's. Raises what the database raises.
    """
    tried = trial.pk if trial is not None else None
    wanted = Q(state__in=(VersionState.ACTIVE, VersionState.SHADOW))
    if trial is not None:
        wanted = (wanted & ~Q(policy=trial.policy_id)) | Q(pk=trial.pk)
    rows = list(
        PolicyVersion.objects.filter(wanted)
        .exclude(policy__mode=Mode.OFF, policy__modes=[])
        .exclude(policy__name=GOVERNANCE)
        .order_by("policy__name", "number")
        .annotate(now=DatabaseNow())
        .values_list("pk", "digest", "policy__mode", "policy__modes", "state", "now")
    )
    governing = [
        Governing(pk=pk, digest=digest, modes=_modes(mode, modes, state == VersionState.SHADOW and pk != tried))
        for pk, digest, mode, modes, state, _ in rows
    ]
    return _in_force(governing, rows[0][-1] if rows else NO_TIME)


def _modes(mode: str, rows: Iterable[Any], is_beside: bool) -> Modes:
    """How far a version binds; one that waits for its time is evaluated beside the active one and binds nothing."""
    return Modes(whole=Mode.SHADOW) if is_beside else Modes.of(mode, rows)


def _in_force(governing: list[Governing], now: dt.datetime) -> InForce:
    tables: list[Table] = []
    unreadable: list[str] = []
    readable: list[Governing] = []
    for one in governing:
        try:
            found = {mode: one.table(mode) for mode in one.modes.used()}[one.modes.whole]
        except InvalidPolicy as error:
            logger.error("A policy can not be read: %s", error, extra={"action": "policy_unreadable"})
            if Mode.ENFORCE in one.modes.used():
                unreadable.append(str(error))
            continue
        readable.append(one)
        tables += [found] if found is not None else []
    by_scope = tuple(readable) if any(one.modes.rows for one in readable) else ()
    return InForce(tables=tuple(tables), now=now, unreadable="\n".join(unreadable), by_scope=by_scope)


@functools.lru_cache(maxsize=512)
def table(pk: int, digest: str, enforced: bool) -> Table:
    """A version's compiled rules. Raises InvalidPolicy where the rules are not those of the digest, or do not parse."""
    version = PolicyVersion.objects.select_related("policy").get(pk=pk)
    if codec.digest_of(version.rules) != digest:
        message = "The stored rules are not those that were saved: their digest differs."
        raise InvalidPolicy([Problem(source=str(version), message=message)])
    rules = document.rules_of(version.rules, str(version))
    return Table(policy=version.policy.name, number=version.number, enforced=enforced, rules=rules)
