"""Delegation: who votes in whose place, from when until when, about what. Owns giving and revoking.

Promises: dated, scoped, never handed on, and each step a fact that nobody can change. Whether a vote counts is not
decided here: `approvals.quorum` reads what is in force each time.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from approvals import quorum, tiers
from approvals.models import Decision, Delegation, DelegationFact, TierState
from approvals.roll import Roll
from missions.engine import feed
from missions.engine.clock import database_now
from missions.errors import StandfastError

LONGEST = dt.timedelta(days=366)
MOST = 50  # of one giver that are not over
REASON_LENGTH = 500
Errors = Iterator[dict[str, str]]


class DelegationRefused(StandfastError):
    """The delegation was not given; see the errors by field."""

    code = "invalid_delegation"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(" ".join(error["message"] for error in errors))
        self.errors = errors


class UnknownDelegation(StandfastError):
    """There is no such delegation, or it is not yours."""

    code = "unknown_delegation"


def give(
    giver: User, to: str, *, until: dt.datetime, starts: dt.datetime | None = None, groups: Sequence[str] = (),
    decision: Decision | None = None, reason: str = "",
) -> Delegation:
    """Let a person, by username, vote in the giver's place until a time, from now or a time ahead.

    `groups` limits it to some of the giver's groups, `decision` to one decision. The same again changes nothing and
    returns what is there. Own transaction. Raises DelegationRefused.
    """
    now = database_now()
    receiver = User.objects.filter(username=to.strip(), is_active=True).first()
    begins = max(starts, now) if starts is not None else now
    errors = [
        *_receiver_errors(giver, receiver, decision), *_time_errors(now, begins, until),
        *_scope_errors(giver, groups, decision), *_text_errors(reason),
    ]  # fmt: skip
    if errors or receiver is None:
        raise DelegationRefused(errors)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=giver.pk)  # so that the same twice at once is one
        mine = Delegation.objects.not_over().filter(giver=giver)
        terms = {"receiver": receiver, "ends_at": until, "groups": sorted(set(groups)), "decision": decision}
        again = mine.filter(**terms, starts_at__lte=begins).first()
        if again is not None:
            return again
        if mine.count() >= MOST:
            raise DelegationRefused([{"field": "to", "message": f"You have given {MOST}; revoke one first."}])
        made = Delegation.objects.create(giver=giver, starts_at=begins, reason=reason.strip(), **terms)
        _note(made, "given", giver)
    return made


def revoke(delegation_id: uuid.UUID, by: User) -> Delegation:
    """Take it back; what was voted by it counts no more, unless it was done already. Again changes nothing.

    For the giver, and for administrators. Own transaction. Raises UnknownDelegation.
    """
    with transaction.atomic():
        rows = Delegation.objects.select_for_update(of=("self",)).select_related("giver", "receiver")
        found = rows.filter(pk=delegation_id).first()
        if found is None or not (by.pk == found.giver_id or by.is_superuser):
            raise UnknownDelegation
        if found.revoked_at is None:
            found.revoked_at = database_now()
            found.save(update_fields=["revoked_at"])
            _note(found, "revoked", by)
    return found


def of(user: User) -> QuerySet[Delegation]:
    """Those that this person gave or received, the latest first."""
    mine = Delegation.objects.filter(Q(giver=user) | Q(receiver=user))
    return mine.select_related("giver", "receiver").order_by("-starts_at", "pk")


def _note(delegation: Delegation, what: str, by: User) -> None:
    """Keep the fact, and let queues be shown anew."""
    terms = {
        "giver": delegation.giver.get_username(), "receiver": delegation.receiver.get_username(),
        "from": delegation.starts_at.isoformat(), "until": delegation.ends_at.isoformat(),
        "groups": delegation.groups, "reason": delegation.reason,
        "decision": str(delegation.decision_id) if delegation.decision_id else None,
    }  # fmt: skip
    DelegationFact.objects.create(delegation=delegation, what=what, by=by, terms=terms)
    feed.announce("q")


def _receiver_errors(giver: User, receiver: User | None, decision: Decision | None) -> Errors:
    if receiver is None:
        yield {"field": "to", "message": "There is no active person of this name."}
    elif receiver.pk == giver.pk:
        yield {"field": "to", "message": "Name somebody else."}
    elif decision is not None and receiver.pk in quorum.askers(decision):
        yield {"field": "to", "message": f"{receiver} is behind this request, so their vote would not count."}


def _time_errors(now: dt.datetime, starts: dt.datetime, until: dt.datetime) -> Errors:
    if until <= max(starts, now):
        yield {"field": "until", "message": "It has to end after it begins, and after now."}
    elif until - starts > LONGEST or starts - now > LONGEST:
        yield {"field": "until", "message": f"At most {LONGEST.days} days, and as far ahead."}


def _scope_errors(giver: User, groups: Sequence[str], decision: Decision | None) -> Errors:
    mine = set(giver.groups.values_list("name", flat=True))
    if foreign := sorted(set(groups) - mine):
        yield {"field": "groups", "message": f"You are not in {', '.join(foreign)}."}
    if decision is not None and not _may_decide(giver, decision):
        yield {"field": "decision", "message": "You could not decide this yourself, so you can not hand it on."}


def _may_decide(giver: User, decision: Decision) -> bool:
    """Whether a tier that is open or still comes names this person, in their own right."""
    asked = tiers.loaded(decision)
    roll = Roll.call([asked], people=[giver.pk])
    coming = [tier for tier in asked.tiers.all() if tier.state in (TierState.OPEN, TierState.WAITING)]
    named = any(roll.seats(tier, giver.pk) for tier in coming)
    return asked.is_open and named and giver.pk not in quorum.askers(asked)


def _text_errors(reason: str) -> Errors:
    if len(reason) > REASON_LENGTH or "\x00" in reason:
        yield {"field": "reason", "message": f"At most {REASON_LENGTH} characters, none of them NUL."}
