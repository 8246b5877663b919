"""How many decisions wait for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser

from approvals.models import Decision

MOST = 100

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def open_for(user: User | AnonymousUser) -> int:
    """Open decisions that wait for this person's vote, counted up to 100; 0 for strangers. Two statements."""
    if not user.is_authenticated or not user.is_active:
        return 0
    return Decision.objects.for_voter(user).order_by()[:MOST].count()
