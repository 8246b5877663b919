"""The REST views of schedules. For operators and administrators; whoever changes one answers for what it starts."""

from __future__ import annotations

import datetime as dt
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine import schedules
from missions.models import Missed, Mission, Schedule
from missions.web.access import (
    may_schedule,
    visible_mission,
    visible_missions,
    visible_schedule,
    visible_schedules,
)
from missions.web.endpoint import Endpoint, caller, idempotency_key
from missions.web.problems import problem
from missions.web.schema import IDEMPOTENCY_KEY, PROBLEMS, listed
from missions.web.serializers import Body, MissionDetailSerializer, Text, Whole, detail_for

NEXT_SHOWN = 5


class ScheduleChange(Body):
    """What of a schedule can be changed."""

    type = Text(max_length=100, help_text="A name from GET mission-types.")
    input = serializers.DictField(required=False, help_text="An object that fits the type's input schema.")
    title = Text(max_length=200, required=False, allow_blank=True)
    cron = Text(max_length=100, help_text="Five fields: minute, hour, day of the month, month, day of the week.")
    timezone = Text(max_length=64, required=False, help_text="As in Europe/Berlin; UTC where it is absent.")
    missed = serializers.ChoiceField(Missed.choices, required=False, help_text="What missed times are worth.")
    enabled = serializers.BooleanField(required=False)
    priority = Whole(min_value=-100, max_value=100, required=False)


class ScheduleBody(ScheduleChange):
    """A new schedule."""

    name = Text(max_length=100, help_text="Small letters, digits and dashes.")


class ScheduleSerializer(serializers.Serializer[Any]):
    """A schedule, and when it comes next."""

    name = serializers.CharField()
    type = serializers.CharField()
    input = serializers.DictField()
    title = serializers.CharField()
    cron = serializers.CharField()
    timezone = serializers.CharField()
    missed = serializers.ChoiceField(Missed.choices)
    enabled = serializers.BooleanField()
    priority = serializers.IntegerField()
    run_as = serializers.SerializerMethodField()
    next = serializers.SerializerMethodField()
    last_at = serializers.DateTimeField(allow_null=True, help_text="The time that it last started a mission for.")
    last_mission = serializers.SerializerMethodField()
    last_error = serializers.CharField(help_text="Why its last time started nothing; empty where it did.")

    def get_run_as(self, schedule: Schedule) -> str | None:
        """Who its missions are started by; null where a command made it."""
        return schedule.run_as.get_username() if schedule.run_as else None

    @extend_schema_field(serializers.ListField(child=serializers.DateTimeField()))
    def get_next(self, schedule: Schedule) -> list[dt.datetime]:
        """The next few times; none while it is disabled."""
        return schedules.next_times(schedule, NEXT_SHOWN)

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_last_mission(self, schedule: Schedule) -> Any:
        """The mission that it last started; null also where the reader may not see it."""
        reader = self.context["user"]
        known = visible_missions(reader) if reader is not None else Mission.objects.all()
        return known.filter(pk=schedule.last_mission or 0).values_list("uid", flat=True).first()


def told(request: Request, schedule: Schedule) -> Any:
    """A schedule in its shape, as the caller may see it."""
    return ScheduleSerializer(schedule, context={"user": caller(request)}).data


def told_whole(schedule: Schedule) -> Any:
    """A schedule in its shape, for who runs the commands: nothing is kept from them."""
    return ScheduleSerializer(schedule, context={"user": None}).data


class ScheduleEndpoint(Endpoint):
    """What the views of schedules share: who may use them."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises Problem (403)."""
        super().initial(request, *args, **kwargs)
        if not may_schedule(request.user):
            raise problem(403, "permission_denied", "Only operators and administrators see and keep schedules.")


class SchedulesView(ScheduleEndpoint):
    """All schedules."""

    @extend_schema(
        operation_id="schedules_list", responses={200: listed("ScheduleList", ScheduleSerializer), **PROBLEMS}
    )
    def get(self, request: Request) -> Response:
        """List schedules by name; all at once."""
        rows = visible_schedules(request.user).select_related("run_as").order_by("name")
        return Response({"results": [told(request, row) for row in rows], "next": None})

    @extend_schema(
        operation_id="schedules_create", request=ScheduleBody, responses={201: ScheduleSerializer, **PROBLEMS}
    )
    def post(self, request: Request) -> Response:
        """Keep a new schedule: 201, or 409 where the name is taken."""
        body = ScheduleBody(data=request.data)
        body.is_valid(raise_exception=True)
        made = schedules.create(**body.validated_data, run_as=caller(request))
        return Response(told(request, made), status=201)


class ScheduleView(ScheduleEndpoint):
    """One schedule."""

    @extend_schema(operation_id="schedules_get", responses={200: ScheduleSerializer, **PROBLEMS})
    def get(self, request: Request, name: str) -> Response:
        """Show a schedule."""
        return Response(told(request, visible_schedule(request.user, name)))

    @extend_schema(
        operation_id="schedules_change", request=ScheduleChange, responses={200: ScheduleSerializer, **PROBLEMS}
    )
    def patch(self, request: Request, name: str) -> Response:
        """Change what is named in the body; its missions are started by the caller from then on."""
        visible_schedule(request.user, name)
        body = ScheduleChange(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changed = schedules.change(name, **body.validated_data, run_as=caller(request))
        return Response(told(request, changed))

    @extend_schema(operation_id="schedules_delete", responses={204: None, **PROBLEMS})
    def delete(self, request: Request, name: str) -> Response:
        """Remove a schedule; the missions that it started stay."""
        visible_schedule(request.user, name)
        schedules.delete(name)
        return Response(status=204)


class ScheduleRunView(ScheduleEndpoint):
    """A schedule's mission outside its times."""

    @extend_schema(
        operation_id="schedules_run", parameters=[IDEMPOTENCY_KEY], request=None,
        responses={201: MissionDetailSerializer, 200: MissionDetailSerializer, **PROBLEMS},
    )
    def post(self, request: Request, name: str) -> Response:
        """Start its mission now: 201, or 200 with the mission that the same key started before."""
        visible_schedule(request.user, name)
        key = idempotency_key(request, None)
        mission, created = schedules.run_now(name, started_by=caller(request), key=key)
        shown = visible_mission(request.user, mission.uid)
        return Response(detail_for(request.user, shown), status=201 if created else 200)
