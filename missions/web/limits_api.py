"""The REST views of limits and circuits. Everybody reads them; operators and administrators change them.

They have scopes of their own: a token that starts missions must not be able to hold up a tool for all of them.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine import circuits, limits
from missions.errors import InvalidInput, UnknownLimit
from missions.models import Limit, Scope
from missions.tools.learning import current_tool
from missions.web.access import may_limit
from missions.web.endpoint import Endpoint, caller
from missions.web.problems import problem
from missions.web.schema import PROBLEMS, listed
from missions.web.serializers import Body, Text, Whole


class Seconds(serializers.FloatField):
    """Seconds as a number, not text that holds one."""

    def to_internal_value(self, data: Any) -> float:
        """Raises for text, true and false."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class LimitValues(Body):
    """What a limit limits; null or absent is no limit."""

    concurrency = Whole(required=False, allow_null=True, help_text="So many at once, over all workers.")
    rate_count = Whole(required=False, allow_null=True, help_text="So many calls …")
    rate_seconds = Seconds(required=False, allow_null=True, help_text="… in so many seconds.")
    escalate_after_seconds = Seconds(required=False, allow_null=True, help_text="People are told of longer waits.")


class LimitBody(LimitValues):
    """A new limit."""

    scope = serializers.ChoiceField(Scope.choices)
    name = Text(max_length=limits.NAME_LENGTH, help_text="Exact, or `*` for all of the scope together.")


class LimitSerializer(serializers.Serializer[Any]):
    """A limit, and how much goes on and waits under it now."""

    id = serializers.IntegerField()
    scope = serializers.CharField()
    name = serializers.CharField()
    concurrency = serializers.IntegerField(allow_null=True)
    rate_count = serializers.IntegerField(allow_null=True)
    rate_seconds = serializers.FloatField(allow_null=True)
    escalate_after_seconds = serializers.FloatField(allow_null=True)
    under_way = serializers.IntegerField(help_text="Calls under way, or missions in memory.")
    waiting = serializers.IntegerField(help_text="Calls or due missions that wait for room; counted up to 1,000.")
    changed_by = serializers.CharField()
    changed_at = serializers.DateTimeField()


class CircuitBody(Body):
    """What a person does to a circuit."""

    state = serializers.ChoiceField(["open", "closed"])
    reason = Text(max_length=500, required=False, allow_blank=True, default="")


def _may(request: Request) -> str:
    if not may_limit(request.user):
        raise problem(403, "permission_denied", "Only operators and administrators set limits and circuits.")
    return caller(request).get_username()


def _problem(error: InvalidInput) -> Exception:
    return problem(422, "invalid_input", str(error), errors=error.errors)


class LimitsView(Endpoint):
    """All limits."""

    area = "limits"

    @extend_schema(operation_id="limits_list", responses={200: listed("LimitList", LimitSerializer), **PROBLEMS})
    def get(self, request: Request) -> Response:
        """List limits by scope and name; all at once."""
        rows = limits.told(Limit.objects.order_by("scope", "name"))
        return Response({"results": LimitSerializer(rows, many=True).data, "next": None})

    @extend_schema(operation_id="limits_add", request=LimitBody, responses={201: LimitSerializer, **PROBLEMS})
    def post(self, request: Request) -> Response:
        """Set a limit where there is none yet; it applies within a second."""
        by, body = _may(request), LimitBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            limit = limits.add(**body.validated_data, by=by)
        except InvalidInput as error:
            raise _problem(error) from error
        return Response(LimitSerializer(limits.told([limit])[0]).data, status=201)


class LimitView(Endpoint):
    """One limit."""

    area = "limits"

    @extend_schema(operation_id="limits_change", request=LimitValues, responses={200: LimitSerializer, **PROBLEMS})
    def patch(self, request: Request, limit_id: int) -> Response:
        """Change what is given; the rest stays."""
        by, body = _may(request), LimitValues(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            limit = limits.change(limit_id, **body.validated_data, by=by)
        except InvalidInput as error:
            raise _problem(error) from error
        except UnknownLimit as error:
            raise problem(404, error.code, str(error)) from error
        return Response(LimitSerializer(limits.told([limit])[0]).data)

    @extend_schema(operation_id="limits_drop", responses={204: None, **PROBLEMS})
    def delete(self, request: Request, limit_id: int) -> Response:
        """Lift a limit; who waits goes on."""
        _may(request)
        try:
            limits.drop(limit_id)
        except UnknownLimit as error:
            raise problem(404, error.code, str(error)) from error
        return Response(status=204)


class CircuitView(Endpoint):
    """The circuit of one tool, by hand."""

    area = "limits"

    @extend_schema(operation_id="tools_circuit", request=CircuitBody, responses={204: None, **PROBLEMS})
    def post(self, request: Request, name: str) -> Response:
        """Open a tool's circuit until a person closes it, or close it. Recorded."""
        by, body = _may(request), CircuitBody(data=request.data)
        body.is_valid(raise_exception=True)
        act = circuits.open_by_hand if body.validated_data["state"] == "open" else circuits.close_by_hand
        act(current_tool(name).name, by=by, reason=body.validated_data["reason"])
        return Response(status=204)
