"""The REST views of a freeze: whether the installation is frozen, and thawing it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine import freezing
from missions.web.access import may_thaw
from missions.web.endpoint import Endpoint, caller
from missions.web.problems import problem
from missions.web.schema import PROBLEMS
from missions.web.serializers import Body, Text


class FreezeSerializer(serializers.Serializer[Any]):
    """Whether nothing is claimed since a backup was restored, and what was found."""

    frozen = serializers.BooleanField()
    why = serializers.CharField(help_text="Empty where it is not frozen.")
    host = serializers.CharField(help_text="Where it was found.")
    found_at = serializers.DateTimeField(allow_null=True)


class ThawBody(Body):
    """What thaws an installation."""

    reason = Text(max_length=2000, help_text="What was looked at, and why it may go on.")
    nothing_was_lost = serializers.BooleanField(
        required=False, default=False, help_text="A planned move: effects go on without being probed first."
    )


class ThawSerializer(serializers.Serializer[Any]):
    """What thawing did."""

    suspect = serializers.IntegerField(help_text="How many missions have each effect probed or asked from now on.")


class FreezeView(Endpoint):
    """The open freeze."""

    @extend_schema(operation_id="freeze_get", responses={200: FreezeSerializer, **PROBLEMS})
    def get(self, request: Request) -> Response:
        """Tell whether the installation is frozen."""
        found = freezing.current()
        told = {"frozen": False, "why": "", "host": "", "found_at": None}
        if found is not None:
            told = {"frozen": True, "why": found.why, "host": found.host, "found_at": found.found_at}
        return Response(FreezeSerializer(told).data)


class ThawView(Endpoint):
    """Thawing."""

    @extend_schema(operation_id="freeze_thaw", request=ThawBody, responses={200: ThawSerializer, **PROBLEMS})
    def post(self, request: Request) -> Response:
        """Let missions be claimed again; administrators only. 409 where nothing is frozen."""
        if not may_thaw(request.user):
            raise problem(403, "permission_denied", "Only administrators thaw an installation.")
        body = ThawBody(data=request.data)
        body.is_valid(raise_exception=True)
        by = caller(request).get_username()
        marked = freezing.thaw(**body.validated_data, by=by)
        return Response(ThawSerializer({"suspect": marked}).data)
