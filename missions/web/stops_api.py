"""The REST views of stop buttons: what is stopped, pressing, lifting. Everybody who signs in may read."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine import stops
from missions.errors import AlreadyStopped, InvalidInput, UnknownStop
from missions.models import Stop, StopScope
from missions.tools import learning
from missions.web import toolbox
from missions.web.access import may_lift, may_stop
from missions.web.endpoint import Endpoint, caller
from missions.web.problems import problem
from missions.web.schema import PROBLEMS, listed
from missions.web.serializers import Body, Text


class StopBody(Body):
    """What is to be stopped."""

    scope = serializers.ChoiceField(StopScope.choices)
    name = Text(
        max_length=stops.NAME_LENGTH, required=False, allow_blank=True, default="",
        help_text="Of the agent, tool or mission type, exact; none for everything.",
    )
    reason = Text(max_length=stops.REASON_LENGTH)


class LiftBody(Body):
    """Why it may go on."""

    reason = Text(max_length=stops.REASON_LENGTH, required=False, allow_blank=True, default="")


class StopSerializer(serializers.Serializer[Any]):
    """A stop that is in force, or was."""

    id = serializers.IntegerField()
    scope = serializers.ChoiceField(StopScope.choices)
    name = serializers.CharField(allow_blank=True)
    reason = serializers.CharField()
    pressed_by = serializers.CharField()
    pressed_at = serializers.DateTimeField()
    lifted_at = serializers.DateTimeField(allow_null=True)
    lifted_by = serializers.CharField(allow_blank=True)
    lift_reason = serializers.CharField(allow_blank=True)
    known = serializers.SerializerMethodField()

    def get_known(self, stop: Stop) -> bool:
        """False where no tool, agent or mission type of this name is known here: look whether it is misspelt."""
        return toolbox.is_known(stop)


class StopsView(Endpoint):
    """The stops in force."""

    area = "limits"

    @extend_schema(operation_id="stops_list", responses={200: listed("StopList", StopSerializer), **PROBLEMS})
    def get(self, request: Request) -> Response:
        """List what is stopped now, the latest first."""
        learning.keep_up()
        return Response({"results": StopSerializer(stops.in_force(), many=True).data, "next": None})

    @extend_schema(operation_id="stops_press", request=StopBody, responses={201: StopSerializer, **PROBLEMS})
    def post(self, request: Request) -> Response:
        """Stop everything, an agent, a tool or a mission type; 409 where that is stopped already."""
        if not may_stop(request.user):
            raise problem(403, "permission_denied", "Only operators, supervisors and policy admins stop things.")
        body = StopBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            stop = stops.press(**body.validated_data, by=caller(request).get_username())
        except AlreadyStopped as error:
            raise problem(409, error.code, str(error)) from error
        except InvalidInput as error:
            raise problem(422, "invalid_input", str(error), errors=error.errors) from error
        learning.keep_up()  # after the stop, which waits for nothing
        return Response(StopSerializer(stop).data, status=201)


class StopView(Endpoint):
    """One stop."""

    area = "limits"

    @extend_schema(operation_id="stops_lift", request=LiftBody, responses={200: StopSerializer, **PROBLEMS})
    def delete(self, request: Request, stop_id: int) -> Response:
        """Let it go on; policy admins and administrators only. 404 where it is not in force."""
        if not may_lift(request.user):
            raise problem(403, "permission_denied", "Only policy admins and administrators lift a stop.")
        body = LiftBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            stop = stops.lift(stop_id, **body.validated_data, by=caller(request).get_username())
        except UnknownStop as error:
            raise problem(404, error.code, str(error)) from error
        except InvalidInput as error:
            raise problem(422, "invalid_input", str(error), errors=error.errors) from error
        return Response(StopSerializer(stop).data)
