"""Freezing and thawing an installation whose database has lost something (docs/restore.md).

While a freeze is open no mission is claimed; everything else works. Synchronous, own transactions. Workers find the
loss (`missions.engine.witness`); a person thaws.
"""

from __future__ import annotations

from django.db import transaction

from missions.engine import feed
from missions.errors import NotFrozen
from missions.models import ENDED, Freeze, Mission
from missions.models.fields import DatabaseNow


def current() -> Freeze | None:
    """The open freeze, if there is one."""
    return Freeze.objects.filter(thawed_at=None).first()


@transaction.atomic
def thaw(reason: str, *, by: str, nothing_was_lost: bool = False) -> int:
    """Let missions be claimed again; how many became suspect.

    Each mission that has not ended becomes suspect, until it ends: it may have done things that this database does not
    know of, so each of its effects is probed or asked before its first call. With `nothing_was_lost` (a planned move)
    none does. Raises NotFrozen.
    """
    freeze = Freeze.objects.select_for_update().filter(thawed_at=None).first()
    if freeze is None:
        raise NotFrozen
    marked = 0 if nothing_was_lost else Mission.objects.exclude(state__in=ENDED).update(suspect=True)
    Freeze.objects.filter(pk=freeze.pk).update(
        thawed_at=DatabaseNow(), thawed_by=by, reason=reason, nothing_was_lost=nothing_was_lost
    )
    feed.announce_due()
    return marked
