"""How the API tells of a mission's relations: its parent, its children, and what it starts after.

Who sees a mission may know the ids of those around it; whether they may be opened is asked there.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from missions.engine import children
from missions.models import Dependency, Mission, OnFailure, State

CHILDREN_SHOWN = 100


class ChildShape(serializers.Serializer[Any]):
    """A mission that this one started."""

    id = serializers.UUIDField(source="uid")
    type = serializers.CharField()
    title = serializers.CharField(source="brief.title")
    state = serializers.ChoiceField(State.choices)


class AwaitedShape(serializers.Serializer[Any]):
    """A mission that has to end before this one starts."""

    id = serializers.UUIDField()
    on_failure = serializers.ChoiceField(OnFailure.choices)
    met_at = serializers.DateTimeField(allow_null=True, help_text="When it ended; null while it is awaited.")
    ended_as = serializers.CharField(help_text="completed, refused, failed, cancelled, exported; empty before.")


def parent_of(mission: Mission) -> Mission | None:
    """The mission that started this one, with its brief."""
    return Mission.objects.select_related("brief").filter(pk=mission.parent).first() if mission.parent else None


def children_of(mission: Mission) -> list[dict[str, Any]]:
    """The latest children, oldest first."""
    return list(ChildShape(children.of_parent(mission.pk, CHILDREN_SHOWN), many=True).data)


def awaited_by(mission: Mission) -> list[dict[str, Any]]:
    """What this mission starts after, in the order in which those were started."""
    rows = list(Dependency.objects.filter(mission_id=mission.pk).order_by("on_mission_id"))
    uids = dict(Mission.objects.filter(pk__in=[row.on_mission_id for row in rows]).values_list("pk", "uid"))
    told = [
        {"id": uids[row.on_mission_id], "on_failure": row.policy, "met_at": row.met_at, "ended_as": row.ended_as}
        for row in rows if row.on_mission_id in uids
    ]
    return list(AwaitedShape(told, many=True).data)
