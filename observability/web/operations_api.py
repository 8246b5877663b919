"""The REST views of those who look after the system: health, and figures day by day. Reads only."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.web.access import sees_all
from missions.web.endpoint import Endpoint, caller
from missions.web.pagination import number_of
from missions.web.problems import problem
from missions.web.schema import PROBLEMS, listed
from observability import report

MOST_DAYS = 366


class CheckSerializer(serializers.Serializer[Any]):
    """What one watch found last."""

    name = serializers.CharField()
    ok = serializers.BooleanField()
    detail = serializers.CharField()
    checked_at = serializers.DateTimeField()


class StuckSerializer(serializers.Serializer[Any]):
    """Something that should move and does not."""

    kind = serializers.CharField(help_text="overdue, orphaned, wait, effect, alarm")
    mission = serializers.UUIDField(allow_null=True)
    detail = serializers.CharField()
    found_at = serializers.DateTimeField()


class IsolationSerializer(serializers.Serializer[Any]):
    """What keeps programs in that nobody trusts, on every host that runs missions."""

    driver = serializers.CharField(help_text="bubblewrap; none: nothing runs in isolation.")
    capabilities = serializers.ListField(child=serializers.CharField())
    missing = serializers.DictField(child=serializers.CharField(), help_text="Capability: why, and how to mend it.")
    checked_at = serializers.DateTimeField(allow_null=True)


class HealthSerializer(serializers.Serializer[Any]):
    """How the system does."""

    status = serializers.CharField(help_text="ok; late: the housekeeping does not run on time; unwell: a check failed.")
    late = serializers.ListField(child=serializers.CharField(), help_text="What is wrong with the housekeeping.")
    checks = CheckSerializer(many=True)
    stuck = StuckSerializer(many=True)
    isolation = IsolationSerializer()


class DailySerializer(serializers.Serializer[Any]):
    """What happened to one mission type on one day (UTC)."""

    day = serializers.DateField()
    type = serializers.CharField()
    started = serializers.IntegerField()
    completed = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    verdicts = serializers.DictField(child=serializers.IntegerField())
    median_seconds = serializers.FloatField(allow_null=True, help_text="From start to end, of those that ended.")
    p95_seconds = serializers.FloatField(allow_null=True)
    decisions = serializers.IntegerField(help_text="Settled on the day.")
    people_seconds = serializers.FloatField(help_text="How long these decisions were open, in sum.")
    effects_done = serializers.IntegerField(help_text="Of the missions that ended.")
    effects_in_doubt = serializers.IntegerField()


class HealthView(Endpoint):
    """The health of the system."""

    @extend_schema(operation_id="health", responses={200: HealthSerializer, **PROBLEMS})
    def get(self, request: Request) -> Response:
        """Tell what the watches found last, and whether they still watch."""
        _refuse_others(request)
        return Response(HealthSerializer(report.health(caller(request))).data)


class StatsView(Endpoint):
    """Figures day by day."""

    parameters = frozenset({"days"})

    @extend_schema(
        operation_id="stats",
        parameters=[OpenApiParameter("days", int, description=f"Days back: {report.DAYS}, at most {MOST_DAYS}.")],
        responses={200: listed("Stats", DailySerializer), **PROBLEMS},
    )
    def get(self, request: Request) -> Response:
        """List the figures of the last closed days, newest first; all at once."""
        _refuse_others(request)
        days = min(number_of(request.query_params, "days", report.DAYS, low=1), MOST_DAYS)
        return Response({"results": DailySerializer(report.days(caller(request), days), many=True).data, "next": None})


def _refuse_others(request: Request) -> None:
    """The findings name missions, so they are for those who see all. Raises Problem (403)."""
    if not sees_all(request.user):
        raise problem(403, "permission_denied", "Only those who see all missions see how the system does.")
