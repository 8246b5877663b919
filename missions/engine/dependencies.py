"""Missions that start only after others have ended.

Owns the rows of `Dependency`: writing them at the start, settling them at the end of what is awaited. A mission that
waits parks on its row; whether it may begin is read when it is claimed (`load_missions.sql`, `missions.engine.holding`)
so no signal and no control can make it run early. Cycles are impossible, since only missions that exist can be named.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Sequence

from missions.errors import InvalidInput, Refusal
from missions.models import Child, Dependency, Mission, Outcome, State
from missions.models.fields import DatabaseNow

MOST = 100
REFUSED = "refused"
Reference = uuid.UUID | str


def lock_awaited(references: Sequence[Reference], child: Child | None = None) -> list[Mission]:
    """The missions of these ids, locked in the order of their engine ids, so that none can end meanwhile unnoticed.

    Inside the caller's transaction, as its first lock. Raises InvalidInput: not an id, named twice, not there, too
    many, or one that waits for the new mission itself (a parent or its parents).
    """
    if not references:
        return []
    uids = _checked(references)
    found = list(Mission.objects.select_for_update().filter(uid__in=uids).order_by("pk"))
    missing = set(uids) - {mission.uid for mission in found}
    if missing:
        raise unknown(missing)
    above = _ancestors(child.parent_id) if child is not None else set()
    if any(mission.pk in above for mission in found):
        raise _refusal("A child can not wait for the end of a mission that it is a part of.")
    return found


def unknown(missing: Collection[uuid.UUID]) -> InvalidInput:
    """The refusal of missions that are not there, or that who asks may not see: nobody can tell which."""
    return _refusal("There is no mission " + ", ".join(sorted(map(str, missing))) + ".")


def _checked(references: Sequence[Reference]) -> list[uuid.UUID]:
    if len(references) > MOST:
        raise _refusal(f"At most {MOST} missions can be waited for.")
    uids: list[uuid.UUID] = []
    for given in references:
        try:
            uid = given if isinstance(given, uuid.UUID) else uuid.UUID(given)
        except ValueError:
            raise _refusal(f"{given!r} is no mission id.") from None
        if uid in uids:
            raise _refusal(f"{uid} is named twice.")
        uids.append(uid)
    return uids


def _refusal(message: str) -> InvalidInput:
    return InvalidInput("The request can not be taken.", errors=[{"field": "after", "message": message}])


def _ancestors(mission_id: int | None) -> set[int]:
    found: set[int] = set()
    while mission_id is not None and mission_id not in found:
        found.add(mission_id)
        mission_id = Mission.objects.filter(pk=mission_id).values_list("parent", flat=True).first()
    return found


def waits_for(awaited: Sequence[Mission]) -> str:
    """What a mission shows as waited for: the first of these that has not ended; empty where all have."""
    return next((f"mission:{mission.uid}" for mission in awaited if not mission.ended), "")


def write(mission_id: int, awaited: Sequence[Mission], policy: str, now: dt.datetime) -> None:
    """Keep what a new mission waits for; what has ended already counts as met, and its policy holds all the same."""
    Dependency.objects.bulk_create(
        Dependency(
            mission_id=mission_id, on_mission_id=one.pk, policy=policy, met_at=now if one.ended else None,
            ended_as=ended_as(one) if one.ended else "",
        )
        for one in awaited
    )


def settle(ended: Mission) -> list[int]:
    """Note the end of a mission, whose row the caller has locked; the missions that waited for it, in order of id."""
    rows = Dependency.objects.filter(on_mission_id=ended.pk, met_at=None)
    waiting = sorted(rows.values_list("mission_id", flat=True))
    if waiting:
        rows.update(met_at=DatabaseNow(), ended_as=ended_as(ended))
    return waiting


def ended_as(mission: Mission) -> str:
    """How an ended mission counts: its state, or `refused` where policy or a person stopped its work."""
    if mission.state != State.COMPLETED:
        return str(mission.state)
    verdict = Outcome.objects.filter(mission_id=mission.pk).values_list("verdict", flat=True).first()
    return REFUSED if verdict in refusal_verdicts() else str(mission.state)


def refusal_verdicts() -> set[str]:
    """The verdicts with which unhandled refusals end a mission."""
    kinds: list[type[Refusal]] = [Refusal]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.verdict for kind in kinds}
