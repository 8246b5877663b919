"""The REST view of a mission's goal: its versions, and amending it."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.agents import goals
from missions.engine import controls
from missions.web.access import may_control, visible_mission
from missions.web.control_api import key_of, receipt
from missions.web.control_shapes import ControlBody, ControlReceipt
from missions.web.endpoint import Endpoint, caller, idempotency_key
from missions.web.problems import problem
from missions.web.schema import IDEMPOTENCY_KEY, PROBLEMS
from missions.web.serializers import Text


class GoalBody(ControlBody):
    """Another goal."""

    goal = Text(max_length=goals.CHARACTERS, help_text="All of it: it takes the place of the one before.")
    reason = Text(max_length=controls.REASON_LENGTH)

    def validate_goal(self, goal: str) -> str:
        """Blanks around it say nothing."""
        return goal.strip()


class GoalVersionShape(serializers.Serializer[Any]):
    """An amendment."""

    version = serializers.IntegerField()
    text = serializers.CharField()
    by = serializers.CharField()
    reason = serializers.CharField()
    at = serializers.DateTimeField()


class GoalShape(serializers.Serializer[Any]):
    """The goal as it stands, and how it came to be that."""

    version = serializers.IntegerField(help_text="Of the one that holds; 1 is what it was started with.")
    text = serializers.CharField()
    original = serializers.CharField(help_text="What it was started with.")
    amendments = GoalVersionShape(many=True)


class GoalView(Endpoint):
    """The goal of a mission."""

    @extend_schema(operation_id="missions_goal", responses={200: GoalShape, **PROBLEMS})
    def get(self, request: Request, uid: uuid.UUID) -> Response:
        """Show the goal with its amendments, the oldest first."""
        mission = visible_mission(request.user, uid)
        amendments, original = goals.current(mission.pk), goals.original(mission)
        text = amendments[-1].text if amendments else original
        told = {"version": len(amendments) + 1, "text": text, "original": original, "amendments": amendments}
        return Response(GoalShape(told).data)

    @extend_schema(
        operation_id="missions_amend", parameters=[IDEMPOTENCY_KEY], request=GoalBody,
        responses={202: ControlReceipt, **PROBLEMS},
    )
    def post(self, request: Request, uid: uuid.UUID) -> Response:
        """Ask for another goal; ruled on as the tool `mission.goal`, the mission's journal tells what came of it."""
        mission = visible_mission(request.user, uid)
        if not may_control(request.user, mission, goals.VERB):
            raise problem(403, "permission_denied", "Only operators, supervisors and who started it amend a goal.")
        body = GoalBody(data=request.data)
        body.is_valid(raise_exception=True)
        facts = dict(body.validated_data)
        key, who = key_of(goals.VERB, idempotency_key(request, facts.pop("key"))), caller(request)
        seq = controls.request(
            mission.pk, goals.VERB, by=who.get_username(), by_id=who.pk, key=key, exact=True, **facts
        )
        return receipt(mission, goals.VERB, seq)
