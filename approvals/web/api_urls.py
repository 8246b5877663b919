"""Paths of the decisions' REST API, below /api/v1/; none ends with a slash."""

from __future__ import annotations

from django.urls import path

from approvals.web.api import ClaimView, DecisionsView, DecisionView, MissionDecisionsView, ReleaseView, VotesView
from approvals.web.budgets_api import BudgetsView, BudgetView

urlpatterns = [
    path("budgets", BudgetsView.as_view(), name="api-budgets"),
    path("budgets/<slug:name>", BudgetView.as_view(), name="api-budget"),
    path("decisions", DecisionsView.as_view(), name="api-decisions"),
    path("decisions/<uuid:decision_id>", DecisionView.as_view(), name="api-decision"),
    path("decisions/<uuid:decision_id>/votes", VotesView.as_view(), name="api-votes"),
    path("decisions/<uuid:decision_id>/claim", ClaimView.as_view(), name="api-claim"),
    path("decisions/<uuid:decision_id>/release", ReleaseView.as_view(), name="api-release"),
    path("missions/<uuid:uid>/decisions", MissionDecisionsView.as_view(), name="api-mission-decisions"),
]
