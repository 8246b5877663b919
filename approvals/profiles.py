"""What governance knows of a person beside the groups. Administrators say who manages whom: nobody names their own."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import User
from django.db import transaction

from approvals import resolution, resolving
from approvals.models import Decision, Profile


def set_manager(user: User, manager: User | None) -> Profile:
    """Say who manages a person, or that nobody does; open tiers that ask by a manager ask the new one.

    Own transaction, and one more for each decision. Raises ValueError for a person's own name.
    """
    if manager is not None and manager.pk == user.pk:
        raise ValueError("Nobody is their own manager.")
    profile, _ = Profile.objects.update_or_create(user=user, defaults={"manager": manager})
    seat_anew()
    return profile


def seat_anew() -> int:
    """Look the attributes of all open tiers up again; how many decisions have somebody else in a seat now."""
    asked = Decision.objects.open().filter(tiers__state="open", tiers__approvers__spec__has_key="attribute")
    return sum(map(_seat_one, asked.distinct().values_list("pk", flat=True)))


def _seat_one(decision_id: uuid.UUID) -> bool:
    with transaction.atomic():
        decision = resolution.locked(decision_id)
        changed = decision is not None and decision.is_open and resolving.look_again(decision)
        if changed and decision is not None:
            resolution.announce(decision)
    return changed
