"""Following a mission: hearing of its outcome though somebody else started it. Owns the rows of `Follower`."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from approvals.models import Follower
from missions.engine import listeners
from missions.models import Mission


def follow(user: User, mission: Mission) -> None:
    """Tell this person of the mission from now on; the same again changes nothing. Own transaction."""
    with transaction.atomic():
        Follower.objects.bulk_create([Follower(user=user, mission_id=mission.pk)], ignore_conflicts=True)
        listeners.listen(listeners.of_mission(mission.pk))


def unfollow(user: User, mission: Mission) -> None:
    """Tell them no more. Own transaction."""
    with transaction.atomic():
        Follower.objects.filter(user=user, mission_id=mission.pk).delete()
        if not Follower.objects.filter(mission_id=mission.pk).exists():
            listeners.listen(listeners.of_mission(mission.pk), False)


def follows(user: User, mission: Mission) -> bool:
    """Whether this person follows the mission."""
    return Follower.objects.filter(user=user, mission_id=mission.pk).exists()
