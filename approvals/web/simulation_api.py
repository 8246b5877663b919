"""The REST views that try a policy and replay it on history.

A view parses, authorises, calls one verb, renders. Whoever may not read policies finds none.
"""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from pydantic import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.models import Change, PolicyVersion, Replay
from approvals.policies.document import InvalidPolicy
from approvals.simulation import candidates, rights, starting, trying
from approvals.simulation.candidates import UnknownPolicy
from approvals.simulation.windows import Window
from approvals.web import simulation_findings as findings
from approvals.web.simulation_shapes import (
    DifferenceShape,
    PolicyReplayShape,
    ReplayReceipt,
    SimulateBody,
    TrialShape,
    TryBody,
)
from missions.engine.clock import database_now
from missions.web.access import visible_mission
from missions.web.endpoint import Endpoint, caller, idempotency_key
from missions.web.pagination import limit_of, page, place_of
from missions.web.problems import problem
from missions.web.schema import CURSOR, IDEMPOTENCY_KEY, LIMIT, PROBLEMS, listed, text_parameter

Json = dict[str, Any]


def refuse_policy(error: InvalidPolicy) -> NoReturn:
    """Answer a policy that can not be read: every problem, with line and column where it is in a condition."""
    errors = [
        {"field": one.field, "message": one.message, "rule": one.rule, "line": one.line, "column": one.column}
        for one in error.problems
    ]
    raise problem(422, InvalidPolicy.code, str(error), errors=errors) from error


def no_policy(name: str, number: int | None = None) -> Exception:
    """What is answered where there is no such policy, or the caller may not read any."""
    what = f"a policy {name!r}" if number is None else f"a version {number} of a policy {name!r}"
    return problem(404, UnknownPolicy.code, f"There is no such thing as {what}, or you may not see it.")


class PolicyEndpoint(Endpoint):
    """A view of policies; it lets those in who may read them."""

    area = "policies"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises Problem (404) for the others."""
        super().initial(request, *args, **kwargs)
        if not rights.may_read(request.user):
            raise no_policy(str(kwargs.get("name", "")))


def readable_version(name: str, number: int) -> PolicyVersion:
    """A version. Raises Problem (404)."""
    try:
        return candidates.version_of(name, number)
    except UnknownPolicy as error:
        raise no_policy(name, number) from error


class TryView(PolicyEndpoint):
    """Trying a policy on one action."""

    @extend_schema(operation_id="policies_try", request=TryBody, responses={200: TrialShape, **PROBLEMS})
    def post(self, request: Request, name: str) -> Response:
        """Say what would be ruled, rule by rule; nothing is recorded, called or opened.

        With `version` (of any state) it takes the place of the one in force. 422 `invalid_input` where the arguments
        do not fit the tool, 422 `invalid_policy` where the version can not be read.
        """
        if not PolicyVersion.objects.filter(policy__name=name).exists():
            raise no_policy(name)
        body = TryBody(data=request.data)
        body.is_valid(raise_exception=True)
        given: Json = body.validated_data
        version = readable_version(name, given["version"]) if given["version"] is not None else None
        try:
            return Response(trying.as_json(_tried(request, given, version)))
        except InvalidPolicy as error:
            refuse_policy(error)


def _tried(request: Request, given: Json, version: PolicyVersion | None) -> trying.Trial:
    if "past" in given:
        intent, at = trying.past(visible_mission(request.user, given["past"]["mission"]), given["past"]["seq"])
        return trying.rule(intent, at, version)
    asked = dict(given["intent"])
    uid = asked.pop("mission")
    mission = visible_mission(request.user, uid) if uid is not None else None
    intent, known = trying.intent_of(trying.Action(**asked, mission=mission))
    return trying.rule(intent, database_now(), version, tool_known=known)


class SimulateView(PolicyEndpoint):
    """Replays of a policy."""

    @extend_schema(
        operation_id="policies_simulate", parameters=[IDEMPOTENCY_KEY], request=SimulateBody,
        responses={201: ReplayReceipt, 200: ReplayReceipt, **PROBLEMS},
    )
    def post(self, request: Request, name: str) -> Response:
        """Start a mission that replays a version on history: 201, or 200 with the one that the same key started."""
        if not rights.may_replay(request.user):
            raise problem(403, "permission_denied", "Only policy admins have policies replayed on history.")
        body = SimulateBody(data=request.data)
        body.is_valid(raise_exception=True)
        given: Json = body.validated_data
        version = readable_version(name, given["version"])
        replay, created = starting.start(
            version, _window(given.get("window") or {}), mission_type=given["mission_type"], by=caller(request),
            via="api", key=idempotency_key(request, None),
        )
        return Response(receipt(replay), status=201 if created else 200)


def _window(given: Json) -> Window:
    try:
        return Window.of(given)
    except ValidationError as error:
        errors = [
            {"field": ".".join(["window", *map(str, item["loc"])]), "message": told_of(item["msg"])}
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise problem(422, "invalid_input", "The window can not be taken.", errors=errors) from error


def told_of(message: str) -> str:
    """A message of a shape's own check, for people."""
    text = message.removeprefix("Value error, ")
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def receipt(replay: Replay) -> Json:
    """What is answered to who started a replay."""
    return {
        "mission": replay.pk, "result": reverse("api-replay", args=[replay.pk]),
        "page": reverse("replay", args=[replay.pk]),
    }


class ReplayView(PolicyEndpoint):
    """One replay."""

    @extend_schema(operation_id="policies_replay", responses={200: PolicyReplayShape, **PROBLEMS})
    def get(self, request: Request, replay_id: uuid.UUID) -> Response:
        """How far it is and, once it is finished, what it found."""
        return Response(PolicyReplayShape(findings.as_json(findings.standing(_replay(replay_id)))).data)


class DifferencesView(PolicyEndpoint):
    """What a replay ruled otherwise."""

    parameters = frozenset({"change", "cursor", "limit"})

    @extend_schema(
        operation_id="policies_replay_differences",
        parameters=[text_parameter("change", "Only this kind of difference.", enum=list(Change.values)), CURSOR, LIMIT],
        responses={200: listed("DifferenceList", DifferenceShape), **PROBLEMS},
    )
    def get(self, request: Request, replay_id: uuid.UUID) -> Response:
        """List the differences in missions that the caller may see, in the order of history; 10,000 are kept."""
        change = request.query_params.get("change", "")
        if change and change not in Change.values:
            known = ", ".join(Change.values)
            raise problem(400, "bad_parameter", f"change must be one of {known}.", parameter="change")
        rows = findings.seen(request.user, _replay(replay_id), change)
        if cursor := request.query_params.get("cursor"):
            rows = rows.filter(pk__gt=place_of(cursor, 1)[0])
        limit = limit_of(request.query_params)
        return Response(page(rows, limit, lambda row: (row.pk,), lambda found: _told(found)))


def _told(rows: list[Any]) -> list[Any]:
    return list(DifferenceShape([findings.row_as_json(row) for row in rows], many=True).data)


def _replay(uid: uuid.UUID) -> Replay:
    found = findings.found(uid)
    if found is None:
        raise problem(404, "unknown_replay", f"There is no replay {uid}.")
    return found
