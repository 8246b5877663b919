"""The REST views of missions: start, list, show, signal.

A view parses, authorises, calls one verb, renders. What a person may not see is a 404 on every verb.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from missions.agents import engagements, identities
from missions.engine import codec, dependencies, mailbox, starting
from missions.engine.registry import get_type
from missions.errors import AgentInactive, KeyReused, MissionEnded, UnknownAgent
from missions.models import Mission, Signal, State
from missions.web.access import may_direct, may_start, unseen_among, visible_mission, visible_missions
from missions.web.endpoint import Endpoint, caller, idempotency_key
from missions.web.pagination import limit_of, page, place_of
from missions.web.problems import field_problem, problem
from missions.web.schema import CURSOR, IDEMPOTENCY_KEY, LIMIT, PROBLEMS, listed, text_parameter
from missions.web.serializers import (
    MissionDetailSerializer,
    MissionSerializer,
    SignalBody,
    SignalReceipt,
    StartBody,
    detail_for,
    ending,
)

RESERVED = ("decision:", "effect:", "child:", "mission:", "permit:", "budget:", "control", "attend:", "hook:", "mcp:")
WAITS = ("decision", "limit", "budget", "signal", "child", "mission", "timer", "tool", "llm", "mcp")


class MissionsView(Endpoint):
    """The missions that the caller may see."""

    parameters = frozenset({"state", "type", "waiting_on", "agent", "q", "cursor", "limit"})

    @extend_schema(
        operation_id="missions_list",
        parameters=[
            text_parameter("state", "Only missions in this state.", enum=list(State.values)),
            text_parameter("type", "Only missions of this type."),
            text_parameter("waiting_on", f"One of {', '.join(WAITS)}, or exactly as in `signal:NAME`."),
            text_parameter("agent", "Only missions in which this agent works or worked."),
            text_parameter("q", "Part of the title, or the id."),
            CURSOR, LIMIT,
        ],
        responses={200: listed("MissionList", MissionSerializer), **PROBLEMS},
    )
    def get(self, request: Request) -> Response:
        """List missions, newest first."""
        params = request.query_params
        rows = filtered(visible_missions(request.user), params).select_related("brief__started_by", "outcome")
        if cursor := params.get("cursor"):
            rows = rows.filter(pk__lt=place_of(cursor, 1)[0])
        return Response(page(rows.order_by("-pk"), limit_of(params), lambda row: (row.pk,), told))

    @extend_schema(
        operation_id="missions_start", parameters=[IDEMPOTENCY_KEY], request=StartBody,
        responses={201: MissionDetailSerializer, 200: MissionDetailSerializer, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        """Start a mission: 201, or 200 with the mission that the same key started before."""
        if not may_start(request.user):
            raise problem(403, "permission_denied", "Only operators and supervisors start missions.")
        body = StartBody(data=request.data)
        body.is_valid(raise_exception=True)
        if unseen_among(request.user, after := body.validated_data["after"]):  # as what does not exist
            seen = visible_missions(request.user).filter(uid__in=after).values_list("uid", flat=True)
            raise dependencies.unknown(set(after) - set(seen))
        given = with_agent(body.validated_data)
        wanted = {**given, "key": idempotency_key(request, body.validated_data["key"])}
        mission, created = starting.start(**wanted, started_by=caller(request), via="api")
        shown = visible_mission(request.user, mission.uid)
        return Response(detail_for(request.user, shown), status=201 if created else 200)


def with_agent(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with its `agent` in the input, where the type takes one there. Raises Problem (422)."""
    wanted = dict(body)
    name = wanted.pop("agent")
    if name is None and wanted["type"] == "agent" and isinstance(wanted["input"].get("agent"), str):
        name = wanted["input"]["agent"]  # it would fail as soon as it ran
    if name is None:
        return wanted
    if "agent" not in get_type(wanted["type"]).input_schema.get("properties", {}):
        raise field_problem("agent", f"Missions of type {wanted['type']} take no agent; start one of type agent.")
    if wanted["input"].get("agent", name) != name:
        raise field_problem("agent", "The input names another agent.")
    try:
        identities.active(name)
    except (UnknownAgent, AgentInactive) as error:
        raise field_problem("agent", str(error), code=error.code) from error
    return {**wanted, "input": {**wanted["input"], "agent": name}}


def told(missions: list[Mission]) -> list[Any]:
    """Missions in the shape of a list."""
    return list(MissionSerializer(missions, many=True).data)


def filtered(rows: QuerySet[Mission], params: Mapping[str, str]) -> QuerySet[Mission]:
    """The missions that fit `state`, `type`, `waiting_on`, `agent` and `q`. Raises Problem (400)."""
    if state := params.get("state"):
        if state not in State.values:
            raise problem(400, "bad_parameter", f"state is one of {', '.join(State.values)}.", parameter="state")
        rows = rows.filter(state=state)
    if kind := params.get("type"):
        rows = rows.filter(type=kind)
    if waits := params.get("waiting_on"):
        rows = rows.filter(waiting_on(waits))
    if agent := params.get("agent"):
        rows = rows.filter(engagements.with_agent(agent))
    if words := params.get("q"):
        rows = rows.filter(matching(words))
    return rows


def waiting_on(waits: str) -> Q:
    """Missions that wait for a kind of thing, or for exactly this one. Raises Problem (400)."""
    if waits.partition(":")[0] not in WAITS:
        wanted = f"waiting_on is one of {', '.join(WAITS)}, or names one thing, as in signal:paid."
        raise problem(400, "bad_parameter", wanted, parameter="waiting_on")
    parked = Q(state__in=(State.WAITING, State.SLEEPING))
    return parked & (Q(waits_for=waits) if ":" in waits else Q(waits_for=waits) | Q(waits_for__startswith=f"{waits}:"))


def matching(words: str) -> Q:
    """Missions whose title holds the words, or the one with this id."""
    found = Q(brief__title__icontains=words)
    try:
        return found | Q(uid=uuid.UUID(words))
    except ValueError:
        return found


class MissionView(Endpoint):
    """One mission."""

    @extend_schema(operation_id="missions_get", responses={200: MissionDetailSerializer, **PROBLEMS})
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """Show a mission with its input."""
        return Response(detail_for(request.user, visible_mission(request.user, uid)))


class SignalsView(Endpoint):
    """The mission's mailbox."""

    @extend_schema(
        operation_id="missions_signal", parameters=[IDEMPOTENCY_KEY], request=SignalBody,
        responses={202: SignalReceipt, 200: SignalReceipt, **PROBLEMS},
    )
    def post(self, request: Request, uid: uuid.UUID) -> Response:
        """Send a signal: 202, or 200 where the same key was delivered before; 409 after the end."""
        mission = visible_mission(request.user, uid)
        if not may_direct(request.user, mission):
            raise problem(403, "permission_denied", "Only operators, supervisors and who started it send signals.")
        body = SignalBody(data=request.data)
        body.is_valid(raise_exception=True)
        name, key = body.validated_data["name"], idempotency_key(request, body.validated_data["key"])
        refuse_reserved(name, key)
        payload = body.validated_data["payload"]
        delivered = send(mission, name, payload, key, request.user.get_username())
        if not delivered:
            _refuse_another(mission, name, payload, key)
        receipt = {"mission": mission.uid, "name": name, "key": key, "delivered": delivered}
        return Response(SignalReceipt(receipt).data, status=202 if delivered else 200)


def _refuse_another(mission: Mission, name: str, payload: dict[str, Any], key: str | None) -> None:
    """A key that came with another signal before would lose this one without a word. Raises KeyReused."""
    before = Signal.objects.filter(mission_id=mission.pk, key=key).first()
    if before is not None and (before.name, bytes(before.payload)) != (name, codec.dump(payload)):
        raise KeyReused


def refuse_reserved(name: str, key: str | None) -> None:
    """What the engine tells travels as signals: a forged name, or a taken key, would pass for one or suppress it."""
    for field, text in (("name", name), ("key", key or "")):
        if f"{text}:".startswith(RESERVED):  # also such a name alone
            raise field_problem(field, f"A {field} may not begin with {', '.join(RESERVED)}.", code="reserved_name")


def send(mission: Mission, name: str, payload: dict[str, Any], key: str | None, sender: str) -> bool:
    """Deliver, and tell how the mission ended where it has. Raises Problem (409)."""
    try:
        return mailbox.deliver(mission.pk, name, payload, key=key, sender=sender)
    except MissionEnded as error:
        end = ending(Mission.objects.select_related("outcome").get(pk=mission.pk))
        verdict = {"verdict": end.verdict, "summary": end.summary, "data": end.data} if end and end.verdict else None
        raise problem(
            409, "mission_ended", str(error), **error.facts, verdict=verdict, error=end.error or None if end else None
        ) from error
