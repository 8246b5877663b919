"""The REST views of decisions: list, show, vote, claim, release. Opening: `external_api`.

A view parses, authorises, calls one verb, renders. What a person may not see is a 404 on every verb.
"""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import queue, refusals, votes
from approvals.models import Decision, DecisionKind, DecisionState
from approvals.web import listing
from approvals.web.external_api import OpeningView, ShownSerializer, shown
from approvals.web.serializers import ClaimReceipt, DecisionSerializer, EmptyBody, VoteBody, told
from missions.web.access import visible_mission
from missions.web.endpoint import Endpoint
from missions.web.problems import problem
from missions.web.schema import CURSOR, LIMIT, PROBLEMS, listed, text_parameter

STATUS_OF: dict[str, int] = {
    refusals.UnknownDecision.code: 404, refusals.NotEligible.code: 403, refusals.BadVote.code: 422,
}
FILTERS = [
    text_parameter("kind", "Only decisions of this kind.", enum=list(DecisionKind.values)),
    text_parameter("state", "Only decisions in this state.", enum=list(DecisionState.values)),
    text_parameter("tier", "Only decisions whose open tier is this group's."),
    text_parameter("q", "Part of the sentence or of the mission's title."),
    CURSOR, LIMIT,
]


def refuse(refusal: refusals.VoteRefused) -> NoReturn:
    """Answer a refusal of the verbs as a problem: 409 unless it is about who asks or what was left out."""
    extra = dict(refusal.facts)
    if isinstance(refusal, refusals.BadVote):
        extra["errors"] = refusal.errors
    raise problem(STATUS_OF.get(refusal.code, 409), refusal.code, str(refusal), **extra) from refusal


def visible(user: Any, decision_id: uuid.UUID) -> Decision:
    """The decision with its details. Raises Problem (404), also where this person may not see it."""
    found = listing.seen(user, decision_id)
    if found is None:
        raise problem(404, "unknown_decision", f"There is no decision {decision_id}, or you may not see it.")
    return found


class DecisionsView(OpeningView):
    """The decisions that the caller may see, and opening them from outside."""

    area = "opening"
    parameters = frozenset({"view", "kind", "state", "tier", "q", "cursor", "limit"})

    @extend_schema(
        operation_id="decisions_list",
        parameters=[text_parameter("view", "A saved view of the queue.", enum=list(listing.View.values)), *FILTERS],
        responses={200: listed("DecisionList", DecisionSerializer), **PROBLEMS},
    )
    def get(self, request: Request) -> Response:
        """List decisions: open ones by due time, settled ones by their end, a mixed list newest first."""
        params = request.query_params
        page = listing.page(_person(request), params, view=listing.view_of(params))
        return Response({"results": told(page.rows), "next": page.next})


class MissionDecisionsView(Endpoint):
    """The decisions of one mission."""

    area = "decisions"
    parameters = frozenset({"kind", "state", "tier", "q", "cursor", "limit"})

    @extend_schema(
        operation_id="missions_decisions", parameters=FILTERS,
        responses={200: listed("DecisionList", DecisionSerializer), **PROBLEMS},
    )
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """List a mission's decisions, as far as the caller may see them."""
        mission = visible_mission(request.user, uid)
        page = listing.page(_person(request), request.query_params, view=None, mission_id=mission.pk)
        return Response({"results": told(page.rows), "next": page.next})


class DecisionView(Endpoint):
    """One decision."""

    area = "decisions"

    @extend_schema(operation_id="decisions_get", responses={200: ShownSerializer, **PROBLEMS})
    def get(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Show a decision with its tiers and votes, and its callback to those who may know of it."""
        return Response(shown(visible(request.user, decision_id), _person(request)))


class VotesView(Endpoint):
    """The votes on a decision."""

    area = "decisions"

    @extend_schema(
        operation_id="decisions_vote", request=VoteBody, responses={200: DecisionSerializer, **PROBLEMS}
    )
    def post(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Vote; answers the decision as it stands then. The same vote again changes nothing.

        409 `decision_closed` with the resolution that won, 409 `stale_digest` with the digest of now,
        403 `not_eligible`, 422 for what was left out.
        """
        visible(request.user, decision_id)
        body = VoteBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            votes.cast(decision_id, _person(request), **body.validated_data, channel="api")
        except refusals.VoteRefused as refusal:
            refuse(refusal)
        return Response(told([visible(request.user, decision_id)])[0])


class ClaimView(Endpoint):
    """The lease on a decision."""

    area = "decisions"

    @extend_schema(operation_id="decisions_claim", request=EmptyBody, responses={200: ClaimReceipt, **PROBLEMS})
    def post(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Claim for 15 minutes. It warns others and blocks nobody; whoever held it is named."""
        visible(request.user, decision_id)
        EmptyBody(data=request.data).is_valid(raise_exception=True)
        try:
            claim = queue.claim(decision_id, _person(request))
        except refusals.VoteRefused as refusal:
            refuse(refusal)
        holder = _person(request).get_username()
        return Response({"claimed_by": holder, "claimed_until": claim.until, "taken_from": claim.taken_from})


class ReleaseView(Endpoint):
    """Giving the lease back."""

    area = "decisions"

    @extend_schema(operation_id="decisions_release", request=EmptyBody, responses={200: ClaimReceipt, **PROBLEMS})
    def post(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Release one's own claim; without one nothing changes. Answers whose claim runs now."""
        visible(request.user, decision_id)
        EmptyBody(data=request.data).is_valid(raise_exception=True)
        try:
            queue.release(decision_id, _person(request))
        except refusals.VoteRefused as refusal:
            refuse(refusal)
        shown = told([visible(request.user, decision_id)])[0]
        return Response({"claimed_by": shown["claimed_by"], "claimed_until": shown["claimed_until"], "taken_from": ""})


def _person(request: Request) -> User:
    """The caller; `Endpoint` lets nobody anonymous in."""
    assert isinstance(request.user, User)
    return request.user
