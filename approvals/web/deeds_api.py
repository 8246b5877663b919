"""The REST views of what people do with a decision beside voting: thread, undo, withdraw, callback, looks, bulk,
precedents.

A view parses, authorises, calls one verb, renders. What a person may not see is a 404 on every verb.
"""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import bulk, comments, holding, looks, precedents, queue, refusals
from approvals.models import Decision, DecisionKind, Seen
from approvals.outbound import callbacks, webhooks
from approvals.web import deed_shapes as shapes
from approvals.web import external_api, listing
from approvals.web.api import refuse, visible
from approvals.web.serializers import DecisionSerializer, EmptyBody, told
from approvals.web.webhooks_shapes import DeliverySerializer
from missions.web.endpoint import Endpoint, caller, idempotency_key
from missions.web.pagination import cursor_of, limit_of, place_of
from missions.web.problems import problem
from missions.web.schema import CURSOR, LIMIT, PROBLEMS, listed


class CommentsView(Endpoint):
    """The thread of a decision."""

    area = "decisions"
    parameters = frozenset({"cursor", "limit"})

    @extend_schema(
        operation_id="decisions_comments", parameters=[CURSOR, LIMIT],
        responses={200: listed("CommentList", shapes.CommentShape), **PROBLEMS},
    )
    def get(self, request: Request, decision_id: uuid.UUID) -> Response:
        """List the remarks in order."""
        decision, limit = visible(request.user, decision_id), limit_of(request.query_params)
        cursor = request.query_params.get("cursor", "")
        after = place_of(cursor, 1)[0] if cursor else 0
        found = list(comments.thread(decision).filter(pk__gt=after)[: limit + 1])
        rows = shapes.CommentShape(found[:limit], many=True).data
        return Response({"results": rows, "next": cursor_of(found[limit - 1].pk) if len(found) > limit else None})

    @extend_schema(
        operation_id="decisions_comment", request=shapes.CommentBody,
        responses={201: shapes.CommentShape, **PROBLEMS},
    )
    def post(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Write in the thread; it decides nothing. The same key again answers the same comment."""
        visible(request.user, decision_id)
        body = shapes.CommentBody(data=request.data)
        body.is_valid(raise_exception=True)
        sent = body.validated_data
        try:
            made = comments.add(
                decision_id, caller(request), sent["text"], agent=sent["agent"],
                key=idempotency_key(request, sent["key"]),
            )
        except refusals.VoteRefused as refusal:
            refuse(refusal)
        return Response(shapes.CommentShape(made).data, status=201)


def _decision(request: Request, decision_id: uuid.UUID) -> Response:
    return Response(told([visible(request.user, decision_id)])[0])


def _reason(request: Request) -> str:
    body = shapes.ReasonBody(data=request.data)
    body.is_valid(raise_exception=True)
    return str(body.validated_data["reason"])


class UndoView(Endpoint):
    """Taking one's approval back while it is held."""

    area = "decisions"

    @extend_schema(
        operation_id="decisions_undo", request=shapes.ReasonBody, responses={200: DecisionSerializer, **PROBLEMS}
    )
    def post(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Undo: the decision is open again, other votes stand. 409 `not_held` where it is too late."""
        visible(request.user, decision_id)
        try:
            holding.undo(decision_id, caller(request), _reason(request))
        except refusals.VoteRefused as refusal:
            refuse(refusal)
        return _decision(request, decision_id)


class WithdrawView(Endpoint):
    """Taking back what one asked for."""

    area = "opening"

    @extend_schema(
        operation_id="decisions_withdraw", request=shapes.ReasonBody, responses={200: DecisionSerializer, **PROBLEMS}
    )
    def post(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Withdraw; a mission that waits goes on as after a refusal. Only who asked may."""
        seen = visible(request.user, decision_id)
        if seen.kind == DecisionKind.EXTERNAL:
            return external_api.take_back(request, seen)
        try:
            queue.withdraw_own(decision_id, caller(request), _reason(request))
        except refusals.VoteRefused as refusal:
            refuse(refusal)
        return _decision(request, decision_id)


class CallbackView(Endpoint):
    """The way of an answer back to the system that opened the decision."""

    area = "opening"

    @extend_schema(
        operation_id="decisions_redeliver", request=EmptyBody, responses={202: DeliverySerializer, **PROBLEMS}
    )
    def post(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Call back once more, under the same id: 202. For who opened it, operators and administrators.

        404 `unknown_delivery` before there is an answer, or without a callback; 409 `being_sent` right now.
        """
        decision = visible(request.user, decision_id)
        EmptyBody(data=request.data).is_valid(raise_exception=True)
        callback = callbacks.of(decision, caller(request))
        if callback is None or callback.delivery is None:
            raise problem(404, "unknown_delivery", "There is no callback to deliver again, or none for you to see.")
        if not webhooks.again(callback.delivery.pk):
            raise problem(409, "being_sent", "It is being sent right now.")
        callback.delivery.refresh_from_db()
        return Response(DeliverySerializer(callback.delivery).data, status=202)


class LooksView(Endpoint):
    """What people looked at before they voted."""

    area = "decisions"

    @extend_schema(
        operation_id="decisions_look", request=shapes.LookBody, responses={200: shapes.LookReceipt, **PROBLEMS}
    )
    def post(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Record that you opened the decision, or a piece of its evidence; the first time counts."""
        visible(request.user, decision_id)
        body = shapes.LookBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            first = looks.record(decision_id, caller(request), **body.validated_data)
        except refusals.VoteRefused as refusal:
            refuse(refusal)
        return Response({"first": first})


class PrecedentsView(Endpoint):
    """Earlier decisions like this one."""

    area = "decisions"

    @extend_schema(operation_id="decisions_similar", responses={200: shapes.PrecedentsShape, **PROBLEMS})
    def get(self, request: Request, decision_id: uuid.UUID) -> Response:
        """List at most twenty, the most alike first; how they ended is told once you opened the evidence."""
        decision, user = visible(request.user, decision_id), caller(request)
        context = {"tells": _tells(decision, looks.opened(decision, user))}
        rows = precedents.of(decision, user).rows
        return Response({"results": shapes.PrecedentShape(rows, many=True, context=context).data})


def _tells(decision: Decision, opened: set[tuple[str, int]]) -> bool:
    looked = any(what == Seen.EVIDENCE for what, _ in opened)
    return looked or not decision.evidence or not decision.is_open


class BulkVotesView(Endpoint):
    """One answer to many decisions."""

    area = "decisions"

    @extend_schema(
        operation_id="decisions_bulk_votes", request=shapes.BulkVotesBody,
        responses={200: shapes.BulkVotesReceipt, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        """Vote the same on decisions of one tool and one rule, none irreversible; answers what came of each.

        422 `invalid_vote`, with nothing recorded, where they are not alike or `count` is not their number.
        """
        body = shapes.BulkVotesBody(data=request.data)
        body.is_valid(raise_exception=True)
        sent: dict[str, Any] = dict(body.validated_data)
        items = [bulk.Item(id=one["id"], digest=one["digest"]) for one in sent.pop("items")]
        decisions = listing.seen_of(caller(request), [one.id for one in items])
        try:
            results = bulk.cast(caller(request), decisions, items, **sent, channel="api")
        except refusals.VoteRefused as refusal:
            refuse(refusal)
        return Response({"results": shapes.BulkVoteResult(results, many=True).data})
