"""The REST views of MCP servers and of what they changed. Everybody who signs in may read, administrators register."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine import registered_servers, tool_forms
from missions.engine.registered_servers import Author
from missions.errors import UnknownForm
from missions.models import FormState, ToolForm
from missions.tools import registering
from missions.web import tool_servers
from missions.web.access import may_accept_tools, may_read_servers, may_register_servers
from missions.web.endpoint import Endpoint, caller
from missions.web.problems import problem
from missions.web.schema import PROBLEMS, listed
from missions.web.serializers import Body, Text, Whole

VERDICTS = ("accept", "refuse")  # on a tool that its server has changed
STATES = ("new", "reached", "unreached", "gone")  # of a server, as it was last found; gone: it was taken away


class FormDifferenceShape(serializers.Serializer[Any]):
    """One place in which a form differs from the accepted one."""

    where = serializers.CharField()
    before = serializers.CharField(allow_null=True)
    after = serializers.CharField(allow_null=True)


class ToolFormSerializer(serializers.Serializer[Any]):
    """A form in which a server offered a tool."""

    id = serializers.IntegerField()
    tool = serializers.CharField()
    server = serializers.CharField()
    digest = serializers.CharField()
    state = serializers.ChoiceField(FormState.choices)
    seen_at = serializers.DateTimeField()
    decided_by = serializers.CharField(allow_blank=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    changes = serializers.SerializerMethodField()

    @extend_schema_field(FormDifferenceShape(many=True))
    def get_changes(self, row: ToolForm) -> list[dict[str, Any]]:
        """How it differs from the accepted form."""
        return tool_servers.differences(row)


class ServerSerializer(serializers.Serializer[Any]):
    """An MCP server, as it was last found."""

    name = serializers.CharField()
    source = serializers.ChoiceField(["file", "registered"], help_text="Who describes it.")  # type: ignore[assignment]
    version = serializers.IntegerField(source="version.number", default=None, help_text="Null for one of the file.")
    transport = serializers.ChoiceField(["http", "stdio"])
    trusted = serializers.BooleanField(source="described.trusted")
    state = serializers.ChoiceField(STATES)
    reached_at = serializers.DateTimeField(source="row.reached_at", allow_null=True)
    failed_at = serializers.DateTimeField(source="row.failed_at", allow_null=True)
    error = serializers.CharField(source="row.error", allow_blank=True)
    tools = serializers.IntegerField(source="row.tools", help_text="How many it offered.")
    blocked = ToolFormSerializer(many=True, help_text="Tools that it offers differently than they were accepted.")


class RegisteredServerSerializer(serializers.Serializer[Any]):
    """A version of a server that people registered."""

    name = serializers.CharField()
    version = serializers.IntegerField(source="number")
    document = serializers.DictField(allow_null=True, help_text="As it was sent; null: it was taken away.")
    by = serializers.CharField()
    via = serializers.CharField(help_text="api or console")
    reason = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()


class ServerDetailSerializer(ServerSerializer):
    """An MCP server with what people said of it."""

    document = serializers.DictField(
        source="version.document", default=None, help_text="As it is registered; null for one of the file."
    )
    versions = RegisteredServerSerializer(many=True, help_text="The newest 20, the newest first.")

    def to_representation(self, seen: Any) -> dict[str, Any]:
        """What is said of it is for administrators, policy admins and auditors; others see how it was found."""
        told = dict(super().to_representation(seen))
        return told if self.context["may_read"] else {**told, "document": None, "versions": []}


class ServerBody(Body):
    """What is said of a server; docs/tools.md tells what each word means."""

    name = Text(max_length=50)
    url = Text(required=False, max_length=2000)
    headers = serializers.DictField(child=Text(), required=False, help_text="Secrets as `${db:NAME}`.")
    command = serializers.ListField(child=Text(), required=False, help_text="Runs in the sandbox.")
    env = serializers.DictField(child=Text(), required=False)
    egress = serializers.ListField(child=Text(), required=False, help_text="Places as HOST:PORT.")
    workspace = serializers.JSONField(required=False, help_text="Whether the command keeps a folder.")
    limits = serializers.JSONField(required=False)
    trusted = serializers.JSONField(required=False, help_text="Whether what it says counts as ours.")
    errors = serializers.JSONField(required=False)  # type: ignore[assignment]  # a field, not the base's property
    tools = serializers.JSONField(required=False, help_text="Name to what is promised of the tool.")
    reason = Text(max_length=registered_servers.REASON_CHARACTERS, required=False, allow_blank=True)
    base = Whole(required=False, min_value=0, help_text="The version that was looked at; 409 where it is older.")


class RemovalBody(Body):
    """Why a server is taken away."""

    reason = Text(max_length=registered_servers.REASON_CHARACTERS, required=False, allow_blank=True, default="")
    base = Whole(required=False, min_value=0, default=None, allow_null=True)


class VerdictBody(Body):
    """What is to become of a form."""

    verdict = serializers.ChoiceField(VERDICTS)
    reason = Text(max_length=tool_forms.REASON_CHARACTERS, required=False, allow_blank=True, default="")


def _author(request: Request, reason: str) -> Author:
    """Raises Problem (403)."""
    if not may_register_servers(request.user):
        raise problem(403, "permission_denied", "Only administrators register MCP servers and take them away.")
    return Author(by=caller(request).get_username(), via="api", reason=reason)


class ServersView(Endpoint):
    """The MCP servers whose tools missions may call."""

    area = "servers"

    @extend_schema(operation_id="servers_list", responses={200: listed("ServerList", ServerSerializer), **PROBLEMS})
    def get(self, request: Request) -> Response:
        """List the servers of the file and those that people registered, all at once; asks none of them."""
        return Response({"results": ServerSerializer(tool_servers.servers(), many=True).data, "next": None})

    @extend_schema(
        operation_id="servers_register", request=ServerBody,
        responses={201: RegisteredServerSerializer, 200: RegisteredServerSerializer, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        """Register a server, or say anew what it is: 201, and 200 where nothing is new. Administrators only."""
        author = _author(request, "")
        body = ServerBody(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        author = replace(author, reason=said.pop("reason", ""))
        version, is_new = registering.register(said, author, base=said.pop("base", None))
        return Response(RegisteredServerSerializer(version).data, status=201 if is_new else 200)


class ServerView(Endpoint):
    """One MCP server."""

    area = "servers"

    @extend_schema(operation_id="servers_get", responses={200: ServerDetailSerializer, **PROBLEMS})
    def get(self, request: Request, name: str) -> Response:
        """Show how a server was last found, and what people registered of it."""
        context = {"may_read": may_read_servers(request.user)}
        return Response(ServerDetailSerializer(tool_servers.server(name), context=context).data)

    @extend_schema(operation_id="servers_remove", request=RemovalBody, responses={204: None, **PROBLEMS})
    def delete(self, request: Request, name: str) -> Response:
        """Take a registered server away: its tools are called no more. Administrators only."""
        author = _author(request, "")
        body = RemovalBody(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        registering.remove(name, replace(author, reason=said["reason"]), base=said["base"])
        return Response(status=204)


class ToolFormView(Endpoint):
    """One form of a tool."""

    area = "limits"

    @extend_schema(
        operation_id="tool_forms_decide", request=VerdictBody, responses={200: ToolFormSerializer, **PROBLEMS}
    )
    def post(self, request: Request, form_id: int) -> Response:
        """Accept a tool as it is offered now, or keep it blocked; policy admins and administrators only."""
        if not may_accept_tools(request.user):
            raise problem(403, "permission_denied", "Only policy admins and administrators decide on changed tools.")
        body = VerdictBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            row = tool_servers.decide(form_id, **body.validated_data, by=caller(request).get_username())
        except UnknownForm as error:
            raise problem(404, error.code, str(error)) from error
        return Response(ToolFormSerializer(row).data)
