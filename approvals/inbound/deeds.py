"""What an event does: start a mission, or signal one, as the hook's owner may.

Owns finding the mission that is meant. Keys are the hook's own, so that no caller's key can stand in for one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.contrib.auth.models import User
from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat

from approvals.inbound.mapping import Deed
from approvals.models.inbound import ArrivalOutcome, By, Hook, Verb
from missions.engine import mailbox, starting
from missions.errors import StandfastError, UnknownMission
from missions.models import Mission
from missions.web.access import START, may_direct, may_start, visible_mission, visible_missions

Keep = Callable[[ArrivalOutcome, uuid.UUID], None]


class NotAllowed(StandfastError):
    """The hook's owner may not do this; nothing was done."""

    code = "permission_denied"


class SeveralMissions(StandfastError):
    """Several missions were started with this key; nothing was done."""

    code = "several_missions"


def do(deed: Deed, hook: Hook, event: str, keep: Keep) -> bool:
    """Do it in the caller's transaction, and keep what came of it; False where the same was done before.

    A signal is the transaction's last statement.
    `event` is what tells the event from others. Raises what `starting.begin` and `mailbox.deliver` raise, NotAllowed,
    SeveralMissions.
    """
    key = f"hook:{hook.pk}:{deed.key if deed.key is not None else event}"
    if deed.verb == Verb.START:
        return _start(deed, hook, key, keep)
    mission = meant(deed, hook.owner)
    if not may_direct(hook.owner, mission):
        raise NotAllowed
    keep(ArrivalOutcome.SIGNALLED, mission.uid)
    return mailbox.deliver(mission.pk, deed.signal, deed.body, key=key, sender=f"hook {hook.name}")


def _start(deed: Deed, hook: Hook, key: str, keep: Keep) -> bool:
    if not may_start(hook.owner):
        raise NotAllowed
    wish = starting.Wish(
        type=deed.type, input=deed.body, title=deed.title, key=key, started_by=hook.owner, via="hook"
    )
    mission, new = starting.begin(wish)
    keep(ArrivalOutcome.STARTED, mission.uid)
    return new


def meant(deed: Deed, owner: User) -> Mission:
    """The mission that a signal is for, as far as the owner sees it. Raises UnknownMission, SeveralMissions."""
    if deed.mission_by == By.ID:
        try:
            return visible_mission(owner, uuid.UUID(deed.mission))
        except ValueError as error:
            raise UnknownMission(f"{deed.mission[:100]!r} is no mission's id.") from error
    found = list(of_key(owner, deed.mission)[:2])
    if not found:
        raise UnknownMission(f"No mission that the hook's owner may see was started with the key {deed.mission!r}.")
    if len(found) > 1:
        raise SeveralMissions
    return found[0]


def of_key(owner: User, key: str) -> QuerySet[Mission]:
    """Missions that were started with this key: by events of any hook, or by anybody who may start missions."""
    callers = User.objects.filter(Q(is_superuser=True) | Q(groups__name__in=START) | Q(pk=owner.pk))
    theirs = callers.annotate(full=Concat(Cast("pk", CharField()), Value(f":{key}"))).values("full")
    hooks = Hook.objects.annotate(
        full=Concat(Value("hook:"), Cast("pk", CharField()), Value(f":{key}"), output_field=CharField())
    ).values("full")
    return visible_missions(owner).select_related("brief__started_by").filter(
        Q(idempotency_key__in=theirs) | Q(idempotency_key__in=hooks)
    )
