"""The REST views of business calendars. Everybody signed in reads them; policy admins and operators keep them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import hours
from approvals.hours import CalendarExists, CalendarRefused, UnknownCalendar
from approvals.models import Calendar
from missions.web.endpoint import Endpoint, caller
from missions.web.problems import problem
from missions.web.schema import PROBLEMS, listed
from missions.web.serializers import Body, Text

STATUS_OF = {CalendarRefused.code: 422, CalendarExists.code: 409, UnknownCalendar.code: 404}


class HolidayBody(Body):
    """A day on which nobody works."""

    day = serializers.DateField()
    name = Text(max_length=100, required=False, allow_blank=True, default="")


class CalendarChange(Body):
    """What of a calendar can be changed; it is put in the place of what was there."""

    time_zone = Text(max_length=64, help_text="As in Europe/Berlin.")
    hours = serializers.DictField(help_text='By day, local: {"mon": [["09:00", "17:30"]]}; other days are free.')
    holidays = HolidayBody(many=True, required=False, default=list)


class CalendarBody(CalendarChange):
    """A new calendar."""

    name = Text(max_length=100, help_text="Small letters, digits and dashes.")


class HolidaySerializer(serializers.Serializer[Any]):
    """A holiday."""

    day = serializers.DateField()
    name = serializers.CharField()


class CalendarSerializer(serializers.Serializer[Any]):
    """A calendar."""

    name = serializers.CharField()
    time_zone = serializers.CharField()
    hours = serializers.DictField()
    holidays = HolidaySerializer(many=True)


def _attempt(request: Request, verb: Callable[[], Calendar | None]) -> Calendar | None:
    """Do it for those who may. Raises Problem."""
    if not hours.may_keep(caller(request)):
        raise problem(403, "permission_denied", "Policy admins and operators keep calendars.")
    try:
        return verb()
    except (CalendarRefused, CalendarExists, UnknownCalendar) as refused:
        extra = {"errors": refused.errors} if isinstance(refused, CalendarRefused) else {}
        raise problem(STATUS_OF[refused.code], refused.code, str(refused), **extra) from refused


def _fields(body: Body) -> dict[str, Any]:
    """What the verbs take. Raises Problem (422)."""
    body.is_valid(raise_exception=True)
    given: dict[dt.date, str] = {one["day"]: one["name"] for one in body.validated_data["holidays"]}
    return {**body.validated_data, "holidays": given}


class CalendarsView(Endpoint):
    """The calendars."""

    area = "decisions"

    @extend_schema(
        operation_id="calendars_list", responses={200: listed("CalendarList", CalendarSerializer), **PROBLEMS}
    )
    def get(self, request: Request) -> Response:
        """List the calendars by name. `always`, all the time there is, is known without a row."""
        rows = Calendar.objects.prefetch_related("holidays").order_by("name")
        return Response({"results": CalendarSerializer(rows, many=True).data, "next": None})

    @extend_schema(operation_id="calendars_make", request=CalendarBody, responses={201: CalendarSerializer, **PROBLEMS})
    def post(self, request: Request) -> Response:
        """Make a calendar."""
        made = _attempt(request, lambda: hours.make(**_fields(CalendarBody(data=request.data))))
        return Response(CalendarSerializer(made).data, status=201)


class CalendarView(Endpoint):
    """One calendar."""

    area = "decisions"

    @extend_schema(operation_id="calendars_get", responses={200: CalendarSerializer, **PROBLEMS})
    def get(self, request: Request, calendar: str) -> Response:
        """Show one calendar."""
        try:
            return Response(CalendarSerializer(hours.get(calendar)).data)
        except UnknownCalendar as refused:
            raise problem(404, refused.code, str(refused)) from refused

    @extend_schema(
        operation_id="calendars_change", request=CalendarChange, responses={200: CalendarSerializer, **PROBLEMS}
    )
    def put(self, request: Request, calendar: str) -> Response:
        """Put other hours and holidays in their place; times that were set already stay."""
        found = _attempt(request, lambda: hours.change(calendar, **_fields(CalendarChange(data=request.data))))
        return Response(CalendarSerializer(found).data)

    @extend_schema(operation_id="calendars_remove", responses={204: None, **PROBLEMS})
    def delete(self, request: Request, calendar: str) -> Response:
        """Let it go; tiers that still name it count all time."""
        _attempt(request, lambda: hours.remove(calendar))
        return Response(status=204)
