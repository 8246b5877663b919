"""The REST views of webhooks, their deliveries, and following missions. A view parses, authorises, calls one verb.

Webhooks are told of much, so only operators and administrators see them; to all others they are not there.
"""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.models import Delivery, Webhook
from approvals.outbound import following, spreading, webhooks
from approvals.web.serializers import EmptyBody
from approvals.web.webhooks_shapes import (
    DeliverySerializer,
    NewWebhookSerializer,
    WebhookBody,
    WebhookChanges,
    WebhookSerializer,
    told,
)
from missions.errors import InvalidInput
from missions.web.access import visible_mission
from missions.web.endpoint import Endpoint, caller
from missions.web.pagination import limit_of
from missions.web.problems import Problem, problem
from missions.web.schema import CURSOR, LIMIT, PROBLEMS, listed


def invalid(error: InvalidInput) -> Problem:
    """A refusal of the verbs, field by field."""
    return problem(422, "invalid_input", str(error), errors=error.errors)


def found(request: Request, webhook_id: int) -> Webhook:
    """The webhook. Raises Problem (404), also for who may not see webhooks."""
    row = Webhook.objects.select_related("owner").filter(pk=webhook_id).first()
    if row is None or not spreading.may_keep(caller(request)):
        raise problem(404, "unknown_webhook", "There is no such webhook, or you may not see it.")
    return row


class WebhooksView(Endpoint):
    """All webhooks."""

    area = "webhooks"

    @extend_schema(operation_id="webhooks_list", responses={200: listed("WebhookList", WebhookSerializer), **PROBLEMS})
    def get(self, request: Request) -> Response:
        """List webhooks by name; all at once. Empty for who may not see them."""
        rows = Webhook.objects.select_related("owner").order_by("name")
        shown = rows if spreading.may_keep(caller(request)) else rows.none()
        return Response({"results": [told(row) for row in shown], "next": None})

    @extend_schema(
        operation_id="webhooks_add", request=WebhookBody, responses={201: NewWebhookSerializer, **PROBLEMS}
    )
    def post(self, request: Request) -> Response:
        """Add a webhook: 201 with its secret, which is told only now."""
        if not spreading.may_keep(caller(request)):
            raise problem(403, "permission_denied", "Only operators and administrators keep webhooks.")
        body = WebhookBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            webhook, secret = webhooks.add(owner=caller(request), **body.validated_data)
        except InvalidInput as error:
            raise invalid(error) from error
        return Response(told(webhook, secret), status=201)


class WebhookView(Endpoint):
    """One webhook."""

    area = "webhooks"

    @extend_schema(operation_id="webhooks_get", responses={200: WebhookSerializer, **PROBLEMS})
    def get(self, request: Request, webhook_id: int) -> Response:
        """Show a webhook."""
        return Response(told(found(request, webhook_id)))

    @extend_schema(
        operation_id="webhooks_change", request=WebhookChanges, responses={200: WebhookSerializer, **PROBLEMS}
    )
    def patch(self, request: Request, webhook_id: int) -> Response:
        """Change what is given; the rest, and the secret, stay."""
        webhook, body = found(request, webhook_id), WebhookChanges(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            return Response(told(webhooks.change(webhook, by=caller(request), **body.validated_data)))
        except InvalidInput as error:
            raise invalid(error) from error

    @extend_schema(operation_id="webhooks_drop", responses={204: None, **PROBLEMS})
    def delete(self, request: Request, webhook_id: int) -> Response:
        """Drop a webhook, with all that is on its way to it."""
        webhooks.drop(found(request, webhook_id))
        return Response(status=204)


class DeliveriesView(Endpoint):
    """What went, or is to go, to one webhook."""

    area = "webhooks"
    parameters = frozenset({"cursor", "limit"})

    @extend_schema(
        operation_id="webhooks_deliveries", parameters=[CURSOR, LIMIT],
        responses={200: listed("DeliveryList", DeliverySerializer), **PROBLEMS},
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        """List deliveries, newest first, each with its tries."""
        rows = webhooks.of_channel(found(request, webhook_id), caller(request))
        limit = limit_of(request.query_params)
        cursor = request.query_params.get("cursor", "")
        if cursor:
            last = Delivery.objects.filter(pk=_uuid(cursor), webhook=webhook_id).first()
            if last is None:
                raise problem(400, "bad_cursor", "Use the `next` of the page before, unchanged.")
            rows = webhooks.after(rows, last)
        page = list(rows[: limit + 1])
        results = DeliverySerializer(page[:limit], many=True).data
        return Response({"results": results, "next": str(page[limit - 1].pk) if len(page) > limit else None})


def _uuid(cursor: str) -> uuid.UUID:
    """What is no id is nobody's."""
    try:
        return uuid.UUID(cursor)
    except ValueError:
        return uuid.UUID(int=0)


class RedeliverView(Endpoint):
    """Delivering once more."""

    area = "webhooks"

    @extend_schema(
        operation_id="webhooks_redeliver", request=EmptyBody, responses={202: DeliverySerializer, **PROBLEMS}
    )
    def post(self, request: Request, webhook_id: int, delivery_id: uuid.UUID) -> Response:
        """Deliver once more, under the same id: 202. While it is being sent right now: 409."""
        webhook = found(request, webhook_id)
        EmptyBody(data=request.data).is_valid(raise_exception=True)
        rows = webhooks.of_channel(webhook, caller(request)).filter(pk=delivery_id)
        if not rows.exists():
            raise problem(404, "unknown_delivery", "There is no such delivery to this webhook.")
        if not webhooks.again(delivery_id):
            raise problem(409, "being_sent", "It is being sent right now.")
        return Response(DeliverySerializer(rows.get()).data, status=202)


class FollowView(Endpoint):
    """Hearing of a mission's outcome."""

    @extend_schema(operation_id="missions_follow", request=EmptyBody, responses={204: None, **PROBLEMS})
    def post(self, request: Request, uid: uuid.UUID) -> Response:
        """Follow a mission; the same again changes nothing. What you are told of it, and when, your choices say."""
        mission = visible_mission(request.user, uid)
        EmptyBody(data=request.data).is_valid(raise_exception=True)
        following.follow(caller(request), mission)
        return Response(status=204)

    @extend_schema(operation_id="missions_unfollow", responses={204: None, **PROBLEMS})
    def delete(self, request: Request, uid: uuid.UUID) -> Response:
        """Follow it no more."""
        following.unfollow(caller(request), visible_mission(request.user, uid))
        return Response(status=204)
