"""The REST view of the rail: what happened, told in sentences, in one order, to be polled by cursor.

Reads only. Who sees which missions is `missions.web.access`'s to say.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.models import Decision
from missions.models import Mission
from missions.visibility import seen_by
from missions.web.access import sees_all, visible_mission
from missions.web.endpoint import Endpoint, caller
from missions.web.pagination import limit_of
from missions.web.problems import problem
from missions.web.schema import LIMIT, PROBLEMS, listed, text_parameter
from observability import stream
from observability.projections import Observation, observe


class ObservationSerializer(serializers.Serializer[Any]):
    """One thing that happened."""

    cursor = serializers.CharField(help_text="Its place in the rail.")
    mission = serializers.UUIDField(allow_null=True)
    kind = serializers.CharField(help_text="A journal entry's kind, or vote, or takeover.")
    seq = serializers.IntegerField(allow_null=True, help_text="Null outside the journal.")
    path = serializers.CharField()
    timeline = serializers.IntegerField()
    attempt = serializers.IntegerField()
    at = serializers.DateTimeField()
    lane = serializers.CharField(help_text="agent, tool, human, timer, effect, engine")
    tone = serializers.CharField(help_text="ok, warn, bad, info, human; empty for none")
    sentence = serializers.CharField()
    detail = serializers.CharField()
    actor = serializers.CharField(help_text="The person who did it; empty where none did.")
    decision = serializers.CharField(help_text="The decision that it is about; empty for none.")


class ObservationsView(Endpoint):
    """The rail."""

    parameters = frozenset({"mission", "after", "limit"})

    @extend_schema(
        operation_id="observations_list",
        parameters=[
            text_parameter("mission", "Only this mission; needed by those who do not see all missions."),
            text_parameter("after", "The `next` of the page before; without it, from the beginning."),
            LIMIT,
        ],
        responses={200: listed("ObservationList", ObservationSerializer), **PROBLEMS},
    )
    def get(self, request: Request) -> Response:
        """List observations, oldest first.

        `next` is where to go on, also from the last page: ask again later.
        """
        mission_id, after = chosen(request), request.query_params.get("after", "")
        try:
            sight = stream.EVERYTHING if mission_id is not None else sight_of(caller(request))
            items, following = stream.read(mission_id, after, limit_of(request.query_params), sight)
        except stream.BadCursor as error:
            raise problem(400, "bad_cursor", str(error), parameter="after") from error
        results = ObservationSerializer(told([observe(item) for item in items]), many=True).data
        return Response({"results": results, "next": following or None})


def chosen(request: Request) -> int | None:
    """The mission that is asked for; None for all. Raises UnknownMission, Problem (400)."""
    given = request.query_params.get("mission", "")
    if given:
        return visible_mission(request.user, uid_of(given)).pk
    if sees_all(request.user):
        return None
    raise problem(400, "bad_parameter", "Name a mission: you do not see all of them.", parameter="mission")


def sight_of(user: User) -> stream.Sight:
    """What of all missions somebody who oversees them may see, and of the votes beside missions.

    Without a restriction that keeps them from any, missions are not asked for: the rail is read as it lies.
    """
    if user.is_superuser:
        return stream.EVERYTHING
    seen, beside = seen_by(user), Q(mission_id=None, decision__in=Decision.objects.visible_to(user))
    if not seen:
        return stream.Sight(of_votes=Q(mission_id__isnull=False) | beside)
    known = Q(mission_id__in=Mission.objects.filter(seen).values("pk"))
    return stream.Sight(of_missions=known, of_votes=known | beside)


def uid_of(given: str) -> uuid.UUID:
    """A mission's id as given in the address. Raises Problem (400)."""
    try:
        return uuid.UUID(given)
    except ValueError as error:
        raise problem(400, "bad_parameter", "mission must be a uuid.", parameter="mission") from error


def told(observations: list[Observation]) -> list[Any]:
    """Observations in the shape of `ObservationSerializer`; one statement for the ids of all missions."""
    items = [observation.item for observation in observations]
    uids = dict(Mission.objects.filter(pk__in={item.mission_id for item in items}).values_list("pk", "uid"))
    return [
        {
            "cursor": seen.cursor, "mission": uids.get(seen.item.mission_id or 0), "kind": seen.item.kind,
            "seq": seen.item.seq, "path": seen.item.path, "timeline": seen.item.timeline, "attempt": seen.item.attempt,
            "at": seen.at, "lane": seen.lane, "tone": seen.tone, "sentence": seen.sentence, "detail": seen.detail,
            "actor": seen.actor, "decision": seen.decision,
        }
        for seen in observations
    ]
