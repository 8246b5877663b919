"""The missions around one: its parent, its children, and those that it starts after. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from missions.engine import children
from missions.models import Dependency, Mission
from observability.console.words import STATES, Badge

SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """A mission that is named on another one's page, with its state in words."""

    mission: Mission
    badge: Badge


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """All that is named; `more` tells that there are more children than are shown."""

    parent: Relative | None
    children: list[Relative]
    awaited: list[Relative]
    more: bool


def family_of(mission: Mission, seen: Q) -> Family:
    """The missions around one that `seen`, what its reader may see (`missions.visibility`), lets through."""
    born = children.of_parent(mission.pk, SHOWN + 1, seen)
    ids = Dependency.objects.filter(mission_id=mission.pk).values_list("on_mission_id", flat=True)
    parent = _known([mission.parent], seen) if mission.parent else []
    return Family(
        parent=parent[0] if parent else None, children=[_relative(one) for one in born[-SHOWN:]],
        awaited=_known(list(ids), seen), more=len(born) > SHOWN,
    )  # fmt: skip


def _known(ids: list[int], seen: Q) -> list[Relative]:
    rows = Mission.objects.filter(seen, pk__in=ids).select_related("brief").order_by("pk") if ids else []
    return [_relative(row) for row in rows]


def _relative(mission: Mission) -> Relative:
    return Relative(mission=mission, badge=STATES[mission.state])
