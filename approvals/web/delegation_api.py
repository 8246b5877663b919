"""The REST views of delegations: one's own list, giving, revoking, and handing on one decision."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, NoReturn

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import delegations
from approvals.delegations import DelegationRefused, UnknownDelegation
from approvals.models import Delegation
from approvals.web.api import visible
from missions.engine.clock import database_now
from missions.web.endpoint import Endpoint, caller
from missions.web.problems import problem
from missions.web.schema import PROBLEMS, listed
from missions.web.serializers import Body, Text

SHOWN = 100  # the latest; nobody has more that matter


class HandOnBody(Body):
    """Who is to decide in one's place, and how long."""

    to = Text(max_length=150, help_text="A username.")
    until = serializers.DateTimeField(help_text="With an offset; at most 366 days ahead.")
    reason = Text(max_length=delegations.REASON_LENGTH, required=False, allow_blank=True, default="")


class DelegationBody(HandOnBody):
    """A delegation of all that one decides, or of some groups."""

    starts = serializers.DateTimeField(required=False, help_text="A time ahead, as for a holiday; now, by default.")
    groups = serializers.ListField(
        child=Text(max_length=150), required=False, default=list, max_length=50, help_text="Of your own; empty: all."
    )


class DelegationSerializer(serializers.Serializer[Any]):
    """A delegation."""

    id = serializers.UUIDField()
    giver = serializers.CharField(source="giver.username")
    receiver = serializers.CharField(source="receiver.username")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    groups = serializers.ListField(child=serializers.CharField())
    decision = serializers.UUIDField(source="decision_id", allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    in_force = serializers.SerializerMethodField(help_text="Whether the receiver votes by it now.")

    def get_in_force(self, delegation: Delegation) -> bool:
        """By the database's clock."""
        now: dt.datetime = self.context["now"]
        return delegation.revoked_at is None and delegation.starts_at <= now < delegation.ends_at


def told(rows: list[Delegation]) -> list[Any]:
    """Delegations in their shape."""
    return list(DelegationSerializer(rows, many=True, context={"now": database_now()}).data)


def refuse(refused: DelegationRefused) -> NoReturn:
    """Answer a refusal as a problem."""
    raise problem(422, refused.code, str(refused), errors=refused.errors) from refused


class DelegationsView(Endpoint):
    """One's own delegations."""

    area = "decisions"

    @extend_schema(
        operation_id="delegations_list", responses={200: listed("DelegationList", DelegationSerializer), **PROBLEMS}
    )
    def get(self, request: Request) -> Response:
        """List what you gave and what was given to you, the latest first."""
        return Response({"results": told(list(delegations.of(caller(request))[:SHOWN])), "next": None})

    @extend_schema(
        operation_id="delegations_give", request=DelegationBody, responses={201: DelegationSerializer, **PROBLEMS}
    )
    def post(self, request: Request) -> Response:
        """Let somebody vote in your place. The same again changes nothing. They never hand it on."""
        body = DelegationBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            made = delegations.give(caller(request), **body.validated_data)
        except DelegationRefused as refused:
            refuse(refused)
        return Response(told([made])[0], status=201)


class DelegationView(Endpoint):
    """One delegation."""

    area = "decisions"

    @extend_schema(operation_id="delegations_revoke", responses={204: None, **PROBLEMS})
    def delete(self, request: Request, delegation_id: uuid.UUID) -> Response:
        """Revoke it; what was voted by it and is not done yet counts no more. Again changes nothing."""
        try:
            delegations.revoke(delegation_id, caller(request))
        except UnknownDelegation as refused:
            raise problem(404, refused.code, str(refused)) from refused
        return Response(status=204)


class HandOnView(Endpoint):
    """Handing one decision on."""

    area = "decisions"

    @extend_schema(
        operation_id="decisions_delegate", request=HandOnBody, responses={201: DelegationSerializer, **PROBLEMS}
    )
    def post(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Let somebody decide this one in your place; only where you could yourself, by your own right."""
        decision = visible(request.user, decision_id)
        body = HandOnBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            made = delegations.give(caller(request), decision=decision, **body.validated_data)
        except DelegationRefused as refused:
            refuse(refused)
        return Response(told([made])[0], status=201)
