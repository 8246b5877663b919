"""The REST view of what an agent spent, day by day. Reads only; for whoever sees agents."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from missions.web.access import visible_agent
from missions.web.agents_api import AgentEndpoint
from missions.web.pagination import number_of
from missions.web.schema import PROBLEMS, listed
from observability import spend
from observability.models import Spend

DAYS, MOST_DAYS = 30, 366


class SpendSerializer(serializers.Serializer[Any]):
    """What an LLM took for a version of an agent on one day (UTC)."""

    day = serializers.DateField()
    version = serializers.IntegerField()
    member = serializers.CharField(help_text="PROVIDER/MODEL that answered; empty where none did.")
    turns = serializers.IntegerField(help_text="Those that failed included.")
    failed = serializers.IntegerField(help_text="Turns that brought no answer.")
    unpriced = serializers.IntegerField(help_text="Answers whose price nobody knew; they are not in `cost`.")
    tokens_in = serializers.IntegerField()
    tokens_out = serializers.IntegerField()
    cost = serializers.SerializerMethodField()
    currency = serializers.CharField(help_text="Empty where nothing answered.")

    def get_cost(self, row: Spend) -> str:
        """Decimal text."""
        return f"{row.cost.normalize():f}"


class AgentSpendView(AgentEndpoint):
    """What an agent spent."""

    parameters = frozenset({"days"})

    @extend_schema(
        operation_id="agents_spend",
        parameters=[OpenApiParameter("days", int, description=f"Days, with today: {DAYS}, at most {MOST_DAYS}.")],
        responses={200: listed("AgentSpend", SpendSerializer), **PROBLEMS},
    )
    def get(self, request: Request, name: str) -> Response:
        """List what each version spent on each of the last days, the latest first; all at once.

        In all missions, those included that you may not see.
        """
        agent = visible_agent(request.user, name)
        days = min(number_of(request.query_params, "days", DAYS, low=1), MOST_DAYS)
        return Response({"results": SpendSerializer(spend.of_agent(agent.name, days), many=True).data, "next": None})
