"""The REST views of hooks: keeping them, and taking events, which share an address.

An event needs no session and no token: its signature says who sent it. Hooks are kept by operators and administrators;
to all others they are not there.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.inbound import arriving, hooks, mapping, trying
from approvals.models import Arrival, ArrivalOutcome, Hook
from approvals.web.hook_shapes import (
    ArrivalSerializer,
    HookBody,
    HookChanges,
    HookPreviewShape,
    HookSerializer,
    HookTryBody,
    HookVersionShape,
    NewHookSerializer,
    TakenShape,
    foretold,
    told,
)
from approvals.web.serializers import EmptyBody
from missions.web.endpoint import Endpoint, caller
from missions.web.pagination import limit_of, page, place_of
from missions.web.problems import problem
from missions.web.schema import CURSOR, LIMIT, PROBLEMS, listed

STATUS = {ArrivalOutcome.STARTED: 201, ArrivalOutcome.SIGNALLED: 202, ArrivalOutcome.IGNORED: 200}


def found(request: Request, name: str) -> Hook:
    """The hook. Raises Problem (404), also for who may not keep hooks."""
    if not hooks.may_keep(caller(request)):
        raise _unknown()
    try:
        return hooks.find(name)
    except hooks.UnknownHook as error:
        raise _unknown() from error


def _unknown() -> Exception:
    return problem(404, "unknown_hook", "There is no such hook, or this is not for it.")


class HooksView(Endpoint):
    """All hooks."""

    area = "hooks"

    @extend_schema(operation_id="hooks_list", responses={200: listed("HookList", HookSerializer), **PROBLEMS})
    def get(self, request: Request) -> Response:
        """List hooks by name; all at once. Empty for who may not keep them."""
        rows = Hook.objects.select_related("owner").order_by("name")
        shown = rows if hooks.may_keep(caller(request)) else rows.none()
        return Response({"results": [told(row) for row in shown], "next": None})

    @extend_schema(operation_id="hooks_make", request=HookBody, responses={201: NewHookSerializer, **PROBLEMS})
    def post(self, request: Request) -> Response:
        """Make a hook: 201 with its secret, which is told only now."""
        if not hooks.may_keep(caller(request)):
            raise problem(403, "permission_denied", "Only operators and administrators keep hooks.")
        body = HookBody(data=request.data)
        body.is_valid(raise_exception=True)
        hook, secret = hooks.make(body.validated_data["name"], by=caller(request), **_given(body.validated_data))
        return Response(told(hook, secret), status=201)


class HookView(Endpoint):
    """One hook: to keep it, and for events."""

    area = "hooks"

    def get_authenticators(self) -> list[BaseAuthentication]:
        """An event brings no session and no token."""
        return [] if self._takes() else super().get_authenticators()

    def get_permissions(self) -> Any:
        """Its signature is judged by the verb."""
        return [] if self._takes() else super().get_permissions()

    def _takes(self) -> bool:
        """Whether this is an event; without a request, where the schema is made, it is not."""
        return bool(self.request) and self.request.method == "POST"

    @extend_schema(operation_id="hooks_get", responses={200: HookSerializer, **PROBLEMS})
    def get(self, request: Request, name: str) -> Response:
        """Show a hook."""
        return Response(told(found(request, name)))

    @extend_schema(operation_id="hooks_change", request=HookChanges, responses={200: HookSerializer, **PROBLEMS})
    def patch(self, request: Request, name: str) -> Response:
        """Change what is given: a new version. The rest, and the secret, stay."""
        hook, body = found(request, name), HookChanges(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(told(hooks.change(hook, by=caller(request), **_given(body.validated_data))))

    @extend_schema(
        operation_id="hooks_take", auth=[], request={"application/json": dict[str, Any]},
        responses={201: TakenShape, 202: TakenShape, 200: TakenShape, **PROBLEMS},
    )
    def post(self, request: Request, name: str) -> Response:
        """Take an event: 201 where it started a mission, 202 where it signalled one, 200 where it is ignored or came
        before; 404 where it is not well signed."""
        django = request._request
        try:
            taken = arriving.take(name, dict(django.headers.items()), _body(django))
        except hooks.UnknownHook as error:
            raise _unknown() from error
        if taken.problem is not None:
            raise taken.problem
        one = taken.arrival
        answer = {"id": one.pk, "outcome": one.outcome, "mission": one.mission, "repeated": taken.repeated}
        status = 200 if taken.repeated else STATUS[ArrivalOutcome(one.outcome)]
        return Response(TakenShape(answer).data, status=status)


def _body(request: Any) -> bytes:
    """What was sent, as it was signed; never more than the limit. Raises Problem (413)."""
    body: bytes = request.read(arriving.BODY_BYTES + 1)
    if len(body) > arriving.BODY_BYTES:
        raise problem(413, "payload_too_large", f"An event may take {arriving.BODY_BYTES:,} bytes; nothing was kept.")
    return body


def _given(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "name"}


class HookVersionsView(Endpoint):
    """What a hook has said over time."""

    area = "hooks"

    @extend_schema(
        operation_id="hooks_versions", responses={200: listed("HookVersionList", HookVersionShape), **PROBLEMS}
    )
    def get(self, request: Request, name: str) -> Response:
        """List the versions of a hook, the newest first; all at once."""
        rows = found(request, name).versions.select_related("by").order_by("-number")
        return Response({"results": HookVersionShape(rows, many=True).data, "next": None})


class HookSecretView(Endpoint):
    """Another secret."""

    area = "hooks"

    @extend_schema(operation_id="hooks_renew", request=EmptyBody, responses={201: NewHookSerializer, **PROBLEMS})
    def post(self, request: Request, name: str) -> Response:
        """Make another secret: 201, told only now. The one before counts for a day."""
        hook = found(request, name)
        EmptyBody(data=request.data).is_valid(raise_exception=True)
        secret = hooks.renew(hook)
        return Response(told(hook, secret), status=201)


class HookTryView(Endpoint):
    """Trying an event."""

    area = "hooks"

    @extend_schema(operation_id="hooks_try", request=HookTryBody, responses={200: HookPreviewShape, **PROBLEMS})
    def post(self, request: Request, name: str) -> Response:
        """What an event would do, also with changes of the hook; nothing is done and nothing kept."""
        hook, body = found(request, name), HookTryBody(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        said = mapping.content({**asdict(hooks.said_by(hook)), **given["changes"]})
        headers = {key.lower(): value for key, value in given["headers"].items()}
        return Response(foretold(trying.preview(said, given["payload"], headers, caller(request))))


class ArrivalsView(Endpoint):
    """What came to one hook."""

    area = "hooks"
    parameters = frozenset({"cursor", "limit"})

    @extend_schema(
        operation_id="hooks_arrivals", parameters=[CURSOR, LIMIT],
        responses={200: listed("ArrivalList", ArrivalSerializer), **PROBLEMS},
    )
    def get(self, request: Request, name: str) -> Response:
        """List the events that came, the newest first."""
        rows = hooks.arrivals(found(request, name))
        if cursor := request.query_params.get("cursor"):
            rows = rows.filter(pk__lt=place_of(cursor, 1)[0])


        def told_to(rows: list[Arrival]) -> list[Any]:
            return list(ArrivalSerializer(hooks.shown(rows, caller(request)), many=True).data)

        return Response(page(rows, limit_of(request.query_params), lambda row: (row.pk,), told_to))
