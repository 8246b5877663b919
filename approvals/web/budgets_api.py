"""The REST views of period budgets. Everybody reads them; policy admins and administrators change them.

They have scopes of their own: a token that starts missions must not be able to raise what they may spend.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.engine import period_budgets
from missions.models import Counted, Exhausted, Period, PeriodBudget, Subject
from missions.web.access import may_budget
from missions.web.endpoint import Endpoint, caller
from missions.web.problems import problem
from missions.web.schema import PROBLEMS, listed
from missions.web.serializers import Body, Text, Whole


class Amount(serializers.DecimalField):
    """A decimal text, as money is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=18, decimal_places=4, min_value=0, **options)

    def to_internal_value(self, data: Any) -> Any:
        """Raises for true and false, and for numbers that are no text and not whole: they have lost digits already."""
        if isinstance(data, bool) or not isinstance(data, str | int):
            self.fail("invalid")
        return super().to_internal_value(data)


class BudgetValues(Body):
    """What may be changed of a budget."""

    amount = Amount(required=False, help_text="What may be used in a period.")
    extension = Amount(required=False, help_text="What people can add in a period when they are asked.")
    on_exhausted = serializers.ChoiceField(Exhausted.choices, required=False)
    group = Text(max_length=150, required=False, help_text="Who is asked.")


class BudgetBody(BudgetValues):
    """A new budget."""

    name = Text(max_length=100)
    subject = serializers.ChoiceField(Subject.choices, required=False, default=Subject.ALL)
    subject_name = Text(max_length=200, required=False, allow_blank=True, default="", help_text="Exact.")
    counts = serializers.ChoiceField(Counted.choices)
    currency = Text(max_length=10, required=False, allow_blank=True, default="", help_text="Of money.")
    amount = Amount()
    period = serializers.ChoiceField(Period.choices)
    zone = Text(max_length=60, required=False, default="UTC", help_text="The calendar's time zone.")
    rolling_seconds = Whole(required=False, allow_null=True, default=None, min_value=1)


class BudgetSerializer(serializers.Serializer[Any]):
    """A period budget, and how it stands now."""

    name = serializers.CharField()
    subject = serializers.ChoiceField(Subject.choices)
    subject_name = serializers.CharField()
    counts = serializers.ChoiceField(Counted.choices)
    currency = serializers.CharField()
    amount = Amount()
    extension = Amount()
    period = serializers.ChoiceField(Period.choices)
    zone = serializers.CharField()
    rolling_seconds = serializers.IntegerField(allow_null=True)
    on_exhausted = serializers.ChoiceField(Exhausted.choices)
    group = serializers.CharField()
    starts_at = serializers.DateTimeField(help_text="Of the period that it is now.")
    ends_at = serializers.DateTimeField(allow_null=True, help_text="Null where it rolls.")
    limit = Amount(help_text="The amount, with what people have added in this period.")
    spent = Amount(help_text="What is held for calls under way included.")
    held = Amount()
    left = Amount()
    waiting = serializers.IntegerField(help_text="Calls that wait for room; counted up to 1,000.")
    asked = serializers.BooleanField(help_text="Whether people are being asked.")
    answer = serializers.CharField(help_text="`wait` or `stop`, where people said so for this period.")
    changed_by = serializers.CharField()
    changed_at = serializers.DateTimeField()


def _may(request: Request) -> str:
    if not may_budget(request.user):
        raise problem(403, "permission_denied", "Only policy admins and administrators set budgets.")
    return caller(request).get_username()


def _told(budget: PeriodBudget) -> dict[str, Any]:
    told: dict[str, Any] = BudgetSerializer(period_budgets.standings([budget])[0]).data
    return told


class BudgetsView(Endpoint):
    """All period budgets."""

    area = "budgets"

    @extend_schema(operation_id="budgets_list", responses={200: listed("BudgetList", BudgetSerializer), **PROBLEMS})
    def get(self, request: Request) -> Response:
        """List budgets by name, and how they stand; all at once."""
        rows = period_budgets.standings(PeriodBudget.objects.order_by("name"))
        return Response({"results": BudgetSerializer(rows, many=True).data, "next": None})

    @extend_schema(operation_id="budgets_add", request=BudgetBody, responses={201: BudgetSerializer, **PROBLEMS})
    def post(self, request: Request) -> Response:
        """Set a budget; it applies within a second."""
        by, body = _may(request), BudgetBody(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(_told(period_budgets.add(**body.validated_data, by=by)), status=201)


class BudgetView(Endpoint):
    """One period budget."""

    area = "budgets"

    @extend_schema(operation_id="budgets_get", responses={200: BudgetSerializer, **PROBLEMS})
    def get(self, request: Request, name: str) -> Response:
        """Show a budget, and how it stands."""
        return Response(_told(period_budgets.named(name)))

    @extend_schema(operation_id="budgets_change", request=BudgetValues, responses={200: BudgetSerializer, **PROBLEMS})
    def patch(self, request: Request, name: str) -> Response:
        """Change what is given; what was spent stays spent."""
        by, body = _may(request), BudgetValues(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(_told(period_budgets.change(name, **body.validated_data, by=by)))

    @extend_schema(operation_id="budgets_drop", responses={204: None, **PROBLEMS})
    def delete(self, request: Request, name: str) -> Response:
        """Lift a budget; who waits goes on."""
        _may(request)
        period_budgets.drop(name)
        return Response(status=204)
