"""Which mission works under which version of an agent: the row that goes with an `agent` entry, and reading these rows.

The journal is the record, in the entry; the row is the index over it that pages and filters read.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet

from missions.agents.identities import Identity
from missions.engine.arrays import int4, int8
from missions.engine.session import Call
from missions.engine.writes import Head, Side
from missions.models import Engagement, Mission


def engaged(identity: Identity) -> Side:
    """The statement that records it, to go with the write whose last draft is the `agent` entry."""

    def engage(head: Head) -> Call:
        fence = int8(head.mission_id), int4(head.attempt)
        return b"engaged", (*fence, int4(head.seq), identity.agent.encode(), int4(identity.version))

    return engage


def of_mission(mission_id: int) -> list[Engagement]:
    """The agents of a mission, each under the version that it came to work under last, the first engaged first."""
    latest: dict[str, Engagement] = {}
    for row in Engagement.objects.filter(mission_id=mission_id).order_by("seq"):
        latest[row.agent] = row  # keeps the place of the agent's first row
    return list(latest.values())


def with_agent(name: str) -> Q:
    """The missions in which this agent works or worked, as a filter of missions."""
    return Q(Exists(Engagement.objects.filter(agent=name, mission_id=OuterRef("pk"))))


def current(name: str, missions: QuerySet[Mission], *, version: int | None = None) -> QuerySet[Engagement]:
    """The last engagement of this agent in each of these missions, under this version where one is named; unordered."""
    later = Engagement.objects.filter(agent=name, mission_id=OuterRef("mission_id"), seq__gt=OuterRef("seq"))
    rows = Engagement.objects.filter(~Exists(later), agent=name, mission_id__in=missions.values("pk"))
    return rows.filter(version=version) if version is not None else rows


def briefed(rows: Iterable[Engagement]) -> list[tuple[Engagement, Mission]]:
    """Each row with its mission, brief and outcome read; rows of missions that have left are left out."""
    kept = list(rows)
    wanted = Mission.objects.select_related("brief__started_by", "outcome")
    found = wanted.in_bulk([row.mission_id for row in kept])
    return [(row, found[row.mission_id]) for row in kept if row.mission_id in found]
