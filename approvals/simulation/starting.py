"""Having a version replayed: the mission and the row of its findings, begun together. Authorising is the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction

from approvals.models import PolicyVersion, Replay
from approvals.simulation.history import OWN_TYPE
from approvals.simulation.windows import Window
from missions.engine import starting

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def start(
    version: PolicyVersion, window: Window, *, mission_type: str = "", by: User | None = None, via: str,
    key: str | None = None,
) -> tuple[Replay, bool]:
    """Start a replay; it and True, or the one that the same person started with the same key, and False.

    Own transaction. Raises InvalidInput, KeyReused, MissionArchived.
    """
    wanted: dict[str, Any] = {
        "policy": version.policy.name, "version": version.number, "window": window.as_json(),
        "mission_type": mission_type,
    }
    facts = {"version": version, "window": window.usual().as_json(), "mission_type": mission_type, "started_by": by}
    with transaction.atomic():
        mission, created = starting.start(
            OWN_TYPE, wanted, key=key, started_by=by, via=via, title=f"Replay of {version} on history"
        )
        replay, _ = Replay.objects.get_or_create(id=mission.uid, defaults=facts)
    return replay, created
