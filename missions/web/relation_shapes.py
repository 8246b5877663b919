"""How the API tells of a mission's relations: its parent, its children, and what it starts after.

Each is asked with `seen`, the condition on what its reader may see (`missions.visibility`): the others are left out.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q
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


def parent_of(mission: Mission, seen: Q) -> Mission | None:
    """The mission that started this one, with its brief."""
    if mission.parent is None:
        return None
    return Mission.objects.select_related("brief").filter(seen, pk=mission.parent).first()


def children_of(mission: Mission, seen: Q) -> list[dict[str, Any]]:
    """The latest children, oldest first."""
    return list(ChildShape(children.of_parent(mission.pk, CHILDREN_SHOWN, seen), many=True).data)


def awaited_by(mission: Mission, seen: Q) -> list[dict[str, Any]]:
    """What this mission starts after, in the order in which those were started."""
    rows = list(Dependency.objects.filter(mission_id=mission.pk).order_by("on_mission_id"))
    known = Mission.objects.filter(seen, pk__in=[row.on_mission_id for row in rows])
    uids = dict(known.values_list("pk", "uid"))
    told = [
        {"id": uids[row.on_mission_id], "on_failure": row.policy, "met_at": row.met_at, "ended_as": row.ended_as}
        for row in rows if row.on_mission_id in uids
    ]
    return list(AwaitedShape(told, many=True).data)
