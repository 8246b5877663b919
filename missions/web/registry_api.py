"""The REST views of what is registered here: mission types and tools. Contacts no tool's server."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine.checkpoints import BOUNDARIES, RECOVERIES
from missions.engine.registry import all_types
from missions.models import CircuitState
from missions.web import toolbox
from missions.web.endpoint import Endpoint
from missions.web.schema import PROBLEMS, listed


class CheckpointShape(serializers.Serializer[Any]):
    """What a type keeps, and when."""

    interval_seconds = serializers.FloatField(help_text="The cursor of a running call is kept at most so often.")
    at = serializers.ChoiceField(list(BOUNDARIES), help_text="What counts as a point to come back to.")
    recovery = serializers.ChoiceField(list(RECOVERIES), help_text="What becomes of a call that was cut off.")


class MissionTypeSerializer(serializers.Serializer[Any]):
    """A registered mission type."""

    name = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    description = serializers.CharField()
    input_schema = serializers.DictField(help_text="JSON Schema of the input.")
    checkpoint = CheckpointShape()
    data_classes = serializers.ListField(child=serializers.CharField(), help_text="What its missions may touch.")


class CircuitShape(serializers.Serializer[Any]):
    """A tool's circuit."""

    state = serializers.ChoiceField(CircuitState.choices)
    since = serializers.DateTimeField(allow_null=True)
    failures = serializers.IntegerField(help_text="Calls without an answer in a row.")
    probe_at = serializers.DateTimeField(allow_null=True, help_text="Null while a person holds it open.")
    reason = serializers.CharField()


class LimitShape(serializers.Serializer[Any]):
    """A limit in short; GET limits tells all of it."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    concurrency = serializers.IntegerField(allow_null=True)
    rate_count = serializers.IntegerField(allow_null=True)
    rate_seconds = serializers.FloatField(allow_null=True)


class ToolSerializer(serializers.Serializer[Any]):
    """A registered tool and what it promises."""

    name = serializers.CharField()
    title = serializers.CharField()
    effect_class = serializers.CharField(source="effect", help_text="read, write, irreversible")
    retry_safety = serializers.CharField(help_text="keyed, verifiable, manual")
    key_ttl_seconds = serializers.FloatField(allow_null=True)
    timeout_seconds = serializers.FloatField()
    compensate = serializers.CharField(help_text="The tool that undoes it; empty where none does.")
    data_class = serializers.CharField(help_text="Of what it reads or writes; empty for none.")
    cost = serializers.CharField(help_text="The argument that holds what it moves or costs; empty: the usual ones.")
    server = serializers.CharField(help_text="The MCP server behind it; empty where it is a function here.")
    circuit = CircuitShape(help_text="Whether its calls go through.")
    limits = LimitShape(many=True, help_text="The limits that its calls come under, but for those on agents.")
    args_schema = serializers.DictField(help_text="JSON Schema of the arguments.")


class MissionTypesView(Endpoint):
    """The mission types that this process knows."""

    @extend_schema(
        operation_id="mission_types_list", responses={200: listed("MissionTypeList", MissionTypeSerializer), **PROBLEMS}
    )
    def get(self, request: Request) -> Response:
        """List mission types by name, with the schema of their input; all at once."""
        return Response({"results": MissionTypeSerializer(all_types(), many=True).data, "next": None})


class ToolsView(Endpoint):
    """The tools that this process knows."""

    @extend_schema(operation_id="tools_list", responses={200: listed("ToolList", ToolSerializer), **PROBLEMS})
    def get(self, request: Request) -> Response:
        """List tools by name, with the schema of their arguments; all at once."""
        return Response({"results": ToolSerializer(toolbox.tools(), many=True).data, "next": None})
