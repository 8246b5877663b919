"""What governance knows of a person beside the groups. Administrators say who manages whom: nobody names their own."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import User
from django.db import transaction

from approvals import resolution, resolving
from approvals.calendars import read_zone
from approvals.models import Calendar, Decision, Profile


def change(
    user: User, *, manager: User | None = None, time_zone: str | None = None, calendar: Calendar | None = None,
) -> Profile:
    """Set what is given, and let the open tiers that ask by a manager ask the new one. Raises ValueError.

    Own transaction, and one more for each decision.
    """
    if time_zone:
        read_zone(time_zone)
    if manager is not None and manager.pk == user.pk:
        raise ValueError("Nobody is their own manager.")
    with transaction.atomic():
        profile, _ = Profile.objects.select_for_update().get_or_create(user=user)
        profile.manager = manager if manager is not None else profile.manager
        profile.time_zone = profile.time_zone if time_zone is None else time_zone
        profile.calendar = calendar if calendar is not None else profile.calendar
        profile.save()
    if manager is not None:
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
