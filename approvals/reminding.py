"""Reminders: at half of a tier's time and when it is overdue, those who may vote in it are told.

A scheduled job finds what is due; whoever sends messages registers with `tell_by`, and is called in the transaction
that marks the reminder as made, so that it is neither lost nor made twice. Nothing that decides anything happens here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from approvals import quorum, tiers
from approvals.models import Tier, TierState
from approvals.roll import Roll
from missions.models.fields import DatabaseNow

logger = logging.getLogger(__name__)
TOGETHER = 500  # reminders of one run
DUE_SOON, OVERDUE = "decision.due_soon", "decision.overdue"
Teller = Callable[..., None]
_tellers: list[Teller] = []


def tell_by(teller: Teller) -> None:
    """Hand reminders to this function from now on, as `teller(event, decision=…, facts={tier, due_at, people})`."""
    if teller not in _tellers:
        _tellers.append(teller)


def remind() -> int:
    """Make the reminders that are due; how many. Each has a transaction of its own."""
    now, open_now = DatabaseNow(), Tier.objects.filter(state=TierState.OPEN, decision__state="open")
    overdue = open_now.filter(due_at__lte=now, overdue_told_at=None)
    soon = open_now.filter(remind_at__lte=now, reminded_at=None).filter(Q(due_at=None) | Q(due_at__gt=now))
    made = 0
    for rows, event, stamp in ((overdue, OVERDUE, "overdue_told_at"), (soon, DUE_SOON, "reminded_at")):
        for key in list(rows.order_by("pk").values_list("pk", flat=True)[:TOGETHER]):
            made += _attempt(key, event, stamp)
    return made


def _attempt(key: int, event: str, stamp: str) -> bool:
    """Make one; where that fails it is logged and stays due, and the others are made all the same."""
    try:
        return _make(key, event, stamp)
    except Exception:  # a boundary: recorded here, and tried again in a minute
        logger.exception("A reminder failed", extra={"action": "decision_reminder_failed", "tier": key})
        return False


def _make(key: int, event: str, stamp: str) -> bool:
    """Claim one reminder by its stamp and hand it on; False where somebody else did, or it is closed by now."""
    with transaction.atomic():
        stamps = dict.fromkeys({stamp, "reminded_at"}, DatabaseNow())  # who is told of overdue needs no reminder
        claimed = Tier.objects.filter(pk=key, state=TierState.OPEN, **{stamp: None}).update(**stamps)
        if not claimed:
            return False
        tier = Tier.objects.select_related("decision").get(pk=key)
        facts = {"tier": tier.label, "due_at": tier.due_at, "people": people(tier)}
        for teller in _tellers:
            teller(event, decision=tier.decision, facts=facts)
    logger.info("Those who may vote are reminded", extra={"action": "decision_reminded", "event": event, "tier": key})
    return True


def people(tier: Tier) -> list[str]:
    """The usernames of those who may vote in a tier and have not."""
    decision = tiers.loaded(tier.decision)
    row = next(one for one in decision.tiers.all() if one.pk == tier.pk)
    waiting = quorum.waited_for(decision, row, Roll.call([decision]))
    return list(User.objects.filter(pk__in=waiting).order_by("username").values_list("username", flat=True))
