"""The REST views of agents: their versions, which one is in force, and which missions work under which.

Whoever oversees missions reads; agent admins and administrators change. Everybody else is answered 404.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from missions.agents import activation, engagements, versions
from missions.agents.activation import Deed
from missions.agents.versions import Saved, Wish
from missions.errors import UnknownAgent
from missions.models import Activation, Agent, AgentVersion
from missions.web import agents_shapes as shapes
from missions.web.access import may_edit_agents, may_see_agents, visible_agent, visible_missions
from missions.web.endpoint import Endpoint, caller
from missions.web.pagination import limit_of, number_of, page, place_of
from missions.web.problems import problem
from missions.web.schema import CURSOR, LIMIT, PROBLEMS, listed, seq_parameter


class AgentEndpoint(Endpoint):
    """What the views of agents share: who may see them, and who may change them."""

    area = "agents"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises Problem (404, 403)."""
        super().initial(request, *args, **kwargs)
        if not may_see_agents(request.user):
            raise problem(404, "unknown_agent", "There is nothing here, or you may not see it.")
        if request.method == "POST" and not may_edit_agents(request.user):
            raise problem(403, "permission_denied", "Only agent admins and administrators change agents.")


def _wish(request: Request, said: dict[str, Any]) -> Wish:
    return Wish(by=caller(request), via="api", note=said.pop("note"), base=said.pop("base", None))


def _answer(saved: Saved) -> Response:
    return Response(shapes.AgentVersionSerializer(saved.version).data, status=201 if saved.created else 200)


def _deed(request: Request, body: shapes.DeedBody) -> Deed:
    body.is_valid(raise_exception=True)
    said = body.validated_data
    return Deed(by=caller(request), via="api", why=said["reason"], seen=said["seen"])


def _done(found: Activation) -> Response:
    return Response(shapes.ActivationSerializer(found).data)


class AgentsView(AgentEndpoint):
    """All agents."""

    parameters = frozenset({"cursor", "limit"})

    @extend_schema(
        operation_id="agents_list", parameters=[CURSOR, LIMIT],
        responses={200: listed("AgentList", shapes.AgentSerializer), **PROBLEMS},
    )
    def get(self, request: Request) -> Response:
        """List agents, the newest first."""
        rows = Agent.objects.select_related("active")
        if cursor := request.query_params.get("cursor"):
            rows = rows.filter(pk__lt=place_of(cursor, 1)[0])
        limit = limit_of(request.query_params)
        return Response(page(rows.order_by("-pk"), limit, lambda row: (row.pk,), _agents))

    @extend_schema(
        operation_id="agents_create", request=shapes.AgentBody,
        responses={201: shapes.AgentVersionSerializer, 200: shapes.AgentVersionSerializer, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        """Make an agent with its first version, in force for nobody yet: 201, and 200 for the same again."""
        body = shapes.AgentBody(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        name, wish = said.pop("name"), _wish(request, said)
        return _answer(versions.create(name, said, wish))


def _agents(rows: list[Agent]) -> list[Any]:
    return list(shapes.AgentSerializer(rows, many=True).data)


class AgentView(AgentEndpoint):
    """One agent."""

    @extend_schema(operation_id="agents_get", responses={200: shapes.AgentDetailSerializer, **PROBLEMS})
    def get(self, request: Request, name: str) -> Response:
        """Show what is in force, what isolation that demands, and the latest changes."""
        return Response(shapes.AgentDetailSerializer(visible_agent(request.user, name)).data)


class AgentVersionsView(AgentEndpoint):
    """The versions of an agent."""

    parameters = frozenset({"cursor", "limit"})

    @extend_schema(
        operation_id="agents_versions", parameters=[CURSOR, LIMIT],
        responses={200: listed("AgentVersionList", shapes.AgentVersionSerializer), **PROBLEMS},
    )
    def get(self, request: Request, name: str) -> Response:
        """List versions, the newest first."""
        agent = visible_agent(request.user, name)
        rows = agent.versions.select_related("agent", "base", "created_by")
        if cursor := request.query_params.get("cursor"):
            rows = rows.filter(number__lt=place_of(cursor, 1)[0])
        limit = limit_of(request.query_params)
        return Response(page(rows.order_by("-number"), limit, lambda row: (row.number,), _versions))

    @extend_schema(
        operation_id="agents_save", request=shapes.NewVersionBody,
        responses={201: shapes.AgentVersionSerializer, 200: shapes.AgentVersionSerializer, **PROBLEMS},
    )
    def post(self, request: Request, name: str) -> Response:
        """Save a version, in force for nobody yet: 201, and 200 where the newest one says just that."""
        body = shapes.NewVersionBody(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        wish = _wish(request, said)
        return _answer(versions.save(name, said, wish))


def _versions(rows: list[AgentVersion]) -> list[Any]:
    return list(shapes.AgentVersionSerializer(rows, many=True).data)


class AgentVersionView(AgentEndpoint):
    """One version of an agent."""

    @extend_schema(operation_id="agents_version", responses={200: shapes.AgentVersionSerializer, **PROBLEMS})
    def get(self, request: Request, name: str, number: int) -> Response:
        """Show a version, in force or not."""
        agent = visible_agent(request.user, name)
        found = agent.versions.select_related("agent", "base", "created_by").filter(number=number).first()
        if found is None:
            raise UnknownAgent(f"The agent {name} has no version {number}.")
        return Response(shapes.AgentVersionSerializer(found).data)


class ActivateView(AgentEndpoint):
    """A version is put in force."""

    @extend_schema(
        operation_id="agents_activate", request=shapes.DeedBody,
        responses={200: shapes.ActivationSerializer, **PROBLEMS},
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Put it in force; 409 `isolation_absent` where what it demands is absent here. A repeat changes nothing."""
        deed = _deed(request, shapes.DeedBody(data=request.data))
        return _done(activation.activate(name, number, deed))


class RollBackView(AgentEndpoint):
    """An older version comes back."""

    @extend_schema(
        operation_id="agents_rollback", request=shapes.RollBackBody,
        responses={200: shapes.ActivationSerializer, **PROBLEMS},
    )
    def post(self, request: Request, name: str) -> Response:
        """Put a version back in force that was so before."""
        body = shapes.RollBackBody(data=request.data)
        deed = _deed(request, body)
        return _done(activation.roll_back(name, deed, to=body.validated_data["to"]))


class RetireView(AgentEndpoint):
    """No version is in force any more."""

    @extend_schema(
        operation_id="agents_retire", request=shapes.DeedBody,
        responses={200: shapes.ActivationSerializer, **PROBLEMS},
    )
    def post(self, request: Request, name: str) -> Response:
        """Retire the agent; a version that is activated later brings it back."""
        return _done(activation.retire(name, _deed(request, shapes.DeedBody(data=request.data))))


class AgentMissionsView(AgentEndpoint):
    """The missions in which an agent works or worked."""

    parameters = frozenset({"version", "cursor", "limit"})

    @extend_schema(
        operation_id="agents_missions",
        parameters=[seq_parameter("version", "Only where it came to work under this version last."), CURSOR, LIMIT],
        responses={200: listed("EngagedMissionList", shapes.EngagedMissionSerializer), **PROBLEMS},
    )
    def get(self, request: Request, name: str) -> Response:
        """List the missions that you may see, the newest first, each with the version that the agent works under."""
        params = request.query_params
        agent = visible_agent(request.user, name)
        version = number_of(params, "version", 0) or None
        rows = engagements.current(agent.name, visible_missions(request.user), version=version)
        if cursor := params.get("cursor"):
            rows = rows.filter(mission_id__lt=place_of(cursor, 1)[0])
        shown = page(rows.order_by("-mission_id"), limit_of(params), lambda row: (row.mission_id,), engagements.briefed)
        told = shapes.EngagedMissionSerializer(shown["results"], many=True).data
        return Response({**shown, "results": told})
