"""The REST views of a decision that a mission made: what it rests on, what rests on it, and marking it as wrong."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.control import resting
from missions.control.resting import AlreadyMarked, NoSuchDecision
from missions.errors import InvalidInput
from missions.models import Mission
from missions.web.access import may_direct, visible_mission, visible_missions
from missions.web.control_shapes import UndoneEffectShape
from missions.web.endpoint import Endpoint, caller
from missions.web.problems import problem
from missions.web.schema import PROBLEMS
from missions.web.serializers import Body, Text

LARGEST = 2**31 - 1


class WrongBody(Body):
    """Why a decision was wrong."""

    reason = Text(max_length=resting.REASON_LENGTH)


class WrongShape(serializers.Serializer[Any]):
    """That a decision was marked as wrong."""

    reason = serializers.CharField()
    marked_by = serializers.CharField()
    marked_at = serializers.DateTimeField()


class LaterShape(serializers.Serializer[Any]):
    """A decision that came after."""

    seq = serializers.IntegerField()
    title = serializers.CharField()
    marked = serializers.BooleanField(help_text="Whether it is marked as wrong itself.")


class RestingShape(serializers.Serializer[Any]):
    """What one mission did that rests on the decision."""

    mission = serializers.UUIDField(source="mission.uid")
    title = serializers.CharField(source="mission.brief.title")
    state = serializers.CharField(source="mission.state")
    how = serializers.ChoiceField(["itself", "child", "follower", "fork"])
    back_to = serializers.IntegerField(allow_null=True, help_text="The entry to roll back to, else null.")
    effects = UndoneEffectShape(many=True)
    decisions = LaterShape(many=True)


class DecidedSerializer(serializers.Serializer[Any]):
    """A decision of a mission with its lineage; missions that the caller may not see are counted in `hidden`."""

    seq = serializers.IntegerField()
    decided = serializers.DictField(help_text="name, class, proposal, confidence, alternatives, evidence, findings.")
    rests_on = serializers.ListField(child=serializers.IntegerField(), help_text="Entries that were at hand.")
    wrong = WrongShape(source="mark", allow_null=True)
    resting = RestingShape(many=True)
    hidden = serializers.IntegerField()
    more = serializers.BooleanField()


def lineage_for(user: Any, mission: Mission, seq: int) -> tuple[resting.Lineage, int]:
    """The lineage as far as this person may see it, and how many missions they may not. Raises NoSuchDecision."""
    found = resting.lineage(mission, seq)
    ids = [one.mission.pk for one in found.resting]
    seen = set(visible_missions(user).filter(pk__in=ids).values_list("pk", flat=True))
    found.resting = [one for one in found.resting if one.mission.pk in seen]
    return found, len(ids) - len(found.resting)


def _told(request: Request, mission: Mission, seq: int) -> Response:
    try:
        found, hidden = lineage_for(request.user, mission, _within(seq))
    except NoSuchDecision as error:
        raise problem(404, error.code, str(error)) from error
    told = {name: getattr(found, name) for name in ("seq", "decided", "mark", "resting", "more")}
    return Response(DecidedSerializer({**told, "rests_on": [one.seq for one in found.rests_on], "hidden": hidden}).data)


def _within(seq: int) -> int:
    return min(seq, LARGEST)


class DecidedView(Endpoint):
    """A decision of a mission."""

    @extend_schema(operation_id="missions_decided", responses={200: DecidedSerializer, **PROBLEMS})
    def get(self, request: Request, uid: uuid.UUID, seq: int) -> Response:
        """Show a decision that the mission made, what it rests on, and what rests on it."""
        return _told(request, visible_mission(request.user, uid), seq)


class WrongView(Endpoint):
    """The mark that a decision was wrong."""

    @extend_schema(operation_id="missions_wrong", request=WrongBody, responses={200: DecidedSerializer, **PROBLEMS})
    def post(self, request: Request, uid: uuid.UUID, seq: int) -> Response:
        """Mark it as wrong; who may direct the mission. Undoes nothing: the answer offers where to roll back to."""
        mission = visible_mission(request.user, uid)
        if not may_direct(request.user, mission):
            raise problem(403, "permission_denied", "Only who may direct this mission marks its decisions.")
        body = WrongBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            resting.mark(mission, _within(seq), **body.validated_data, by=caller(request).get_username())
        except NoSuchDecision as error:
            raise problem(404, error.code, str(error)) from error
        except AlreadyMarked as error:
            raise problem(409, error.code, str(error)) from error
        except InvalidInput as error:
            raise problem(422, "invalid_input", str(error), errors=error.errors) from error
        return _told(request, mission, seq)
