"""The REST views that ask for a change of a policy: submit, withdraw, restore, another mode.

A view parses, authorises, calls one verb, renders; other people decide (approvals/policies/changes.py).
"""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.models import Decision, Mode
from approvals.policies import lifecycle
from approvals.web import policy_shapes as shapes
from approvals.web.api import visible
from approvals.web.policy_api import VIA, PolicyEndpoint, policy_of, shown, version_of
from approvals.web.serializers import DecisionSerializer, EmptyBody, told
from missions.web.endpoint import caller
from missions.web.schema import IDEMPOTENCY_KEY, PROBLEMS

CHANGED = {200: DecisionSerializer, **PROBLEMS}


def _asked(request: Request, decision: Decision) -> Response:
    """The decision that was opened, as GET decisions shows it."""
    return Response(told([visible(request.user, decision.pk)])[0])


class SubmitView(PolicyEndpoint):
    """Asking for a version."""

    @extend_schema(
        operation_id="policies_submit", parameters=[IDEMPOTENCY_KEY], request=shapes.SubmitBody, responses=CHANGED
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Ask other people to put the draft in force; answers the decision, also where it was submitted before."""
        version = version_of(name, number)
        body = shapes.SubmitBody(data=request.data)
        body.is_valid(raise_exception=True)
        return _asked(request, lifecycle.submit(version, by=caller(request), **body.validated_data, via=VIA))


class WithdrawView(PolicyEndpoint):
    """Taking back what was asked."""

    @extend_schema(
        operation_id="policies_withdraw", parameters=[IDEMPOTENCY_KEY], request=shapes.WithdrawChangeBody,
        responses={200: shapes.VersionShape, **PROBLEMS},
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Take a version out of review, or out of its schedule; it is a draft again."""
        version = version_of(name, number)
        body = shapes.WithdrawChangeBody(data=request.data)
        body.is_valid(raise_exception=True)
        lifecycle.withdraw(version, by=caller(request), why=body.validated_data["reason"], via=VIA)
        return Response(shown(version_of(name, number)))


class RestoreView(PolicyEndpoint):
    """Going back to older rules."""

    @extend_schema(
        operation_id="policies_restore", parameters=[IDEMPOTENCY_KEY], request=EmptyBody,
        responses={201: shapes.VersionShape, **PROBLEMS},
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Make a new draft with the rules of this version."""
        version = version_of(name, number)
        EmptyBody(data=request.data).is_valid(raise_exception=True)
        made = lifecycle.restore(version, by=caller(request), via=VIA)
        return Response(shown(version_of(name, made.number)), status=201)


class ModeView(PolicyEndpoint):
    """How far a policy binds."""

    @extend_schema(
        operation_id="policies_mode", parameters=[IDEMPOTENCY_KEY], request=shapes.ModeBody,
        responses={200: DecisionSerializer, 204: None, **PROBLEMS},
    )
    def post(self, request: Request, name: str) -> Response:
        """Ask other people for another mode, of the whole or of a scope; 204 where nothing of it is in force yet."""
        policy = policy_of(name)
        body = shapes.ModeBody(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        mode = Mode(wanted["mode"]) if wanted["mode"] else None
        decision = lifecycle.set_mode(
            policy, mode, by=caller(request), scope=wanted["scope"], reason=wanted["reason"], via=VIA
        )
        return _asked(request, decision) if decision else Response(status=204)
