"""Policy versions in the database: making them, putting one in force, and reading what is in force now.

The rules of a version never change, so compiled tables are kept per version; which versions are in force is asked
each time, so that a change made by any process binds the next ruling. Nothing here raises for a stored policy that
can not be read: it is reported, and the gate denies.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction

from approvals.models import Mode, Policy, PolicyVersion, VersionState
from approvals.policies import document
from approvals.policies.document import Document, InvalidPolicy, Problem
from approvals.policies.rules import Table
from missions.engine import codec
from missions.engine.clock import database_now
from missions.models.fields import DatabaseNow

logger = logging.getLogger(__name__)

NO_TIME: Final = dt.datetime.min.replace(tzinfo=dt.UTC)  # where no table is in force, nobody reads the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The tables that are evaluated now, policies by name, and why some that bind could not be read."""

    tables: tuple[Table, ...]
    now: dt.datetime
    unreadable: str = ""


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
    with transaction.atomic():
        Policy.objects.get_or_create(name=written.name, defaults={"mode": written.mode or Mode.ENFORCE})
        policy = Policy.objects.select_for_update().get(name=written.name)  # one loader at a time
        version, created = _kept(policy, written, by, via)
        if not activate:
            return Loaded(version=version, created=created)
        return _activated(policy, version, created, written.mode, via)


def _kept(policy: Policy, written: Document, by: User | None, via: str) -> tuple[PolicyVersion, bool]:
    versions = policy.versions.order_by("-number")
    newest, active = versions.first(), versions.filter(state=VersionState.ACTIVE).first()
    for version in (active, newest):
        if version is not None and version.digest == written.digest:
            return version, False
    number = newest.number + 1 if newest else 1
    made = policy.versions.create(
        number=number, rules=written.written, digest=written.digest, created_by=by, created_via=via[:200]
    )
    return made, True


def _activated(policy: Policy, version: PolicyVersion, created: bool, mode: Mode | None, via: str) -> Loaded:
    """Put the version in force in the place of the one that is. The caller holds the policy's row."""
    changed = _set_mode(policy, mode, via)
    if version.state == VersionState.ACTIVE:
        return Loaded(version=version, created=created, mode=changed)
    retired = policy.versions.filter(state=VersionState.ACTIVE).first()
    if retired is not None:  # first, for only one may be active
        retired.state = VersionState.RETIRED
        retired.save(update_fields=["state"])
    version.state, version.activated_at = VersionState.ACTIVE, database_now()
    version.created_via = via[:200] or version.created_via
    version.save(update_fields=["state", "activated_at", "created_via"])
    facts = {"action": "policy_activated", "policy": str(version), "via": via}
    logger.info("A policy version is in force", extra=facts)
    return Loaded(version=version, created=created, activated=True, retired=retired, mode=changed)


def _set_mode(policy: Policy, mode: Mode | None, via: str) -> Mode | None:
    if mode is None or mode == policy.mode:
        return None
    policy.mode = mode
    policy.save(update_fields=["mode"])
    logger.info("A policy has another mode", extra={"action": "policy_mode", "policy": policy.name, "via": via})
    return mode


def in_force() -> InForce:
    """What is evaluated now. One query, and one more for each version that this process has not seen yet.

    Raises what the database raises.
    """
    rows = list(
        PolicyVersion.objects.filter(state=VersionState.ACTIVE)
        .exclude(policy__mode=Mode.OFF)
        .order_by("policy__name")
        .annotate(now=DatabaseNow())
        .values_list("pk", "digest", "policy__mode", "now")
    )
    tables: list[Table] = []
    unreadable: list[str] = []
    for pk, digest, mode, _ in rows:
        try:
            tables.append(table(pk, digest, mode == Mode.ENFORCE))
        except InvalidPolicy as error:
            logger.error("A policy can not be read: %s", error, extra={"action": "policy_unreadable"})
            if mode == Mode.ENFORCE:
                unreadable.append(str(error))
    now = rows[0][-1] if rows else NO_TIME
    return InForce(tables=tuple(tables), now=now, unreadable="\n".join(unreadable))


@functools.lru_cache(maxsize=512)
def table(pk: int, digest: str, enforced: bool) -> Table:
    """A version's compiled rules. Raises InvalidPolicy where the rules are not those of the digest, or do not parse."""
    version = PolicyVersion.objects.select_related("policy").get(pk=pk)
    if codec.digest_of(version.rules) != digest:
        message = "The stored rules are not those that were saved: their digest differs."
        raise InvalidPolicy([Problem(source=str(version), message=message)])
    rules = document.rules_of(version.rules, str(version))
    return Table(policy=version.policy.name, number=version.number, enforced=enforced, rules=rules)

