"""Paths of the REST API of decisions, policies and webhooks, below /api/v1/; none ends with a slash."""

from __future__ import annotations

from django.urls import path

from approvals.web import calendar_api, deeds_api, delegation_api, hooks_api, policy_api, policy_change_api
from approvals.web.api import ClaimView, DecisionsView, DecisionView, MissionDecisionsView, ReleaseView, VotesView
from approvals.web.budgets_api import BudgetsView, BudgetView
from approvals.web.simulation_api import DifferencesView, ReplayView, SimulateView, TryView
from approvals.web.webhooks_api import DeliveriesView, FollowView, RedeliverView, WebhooksView, WebhookView

VERSION = "policies/<slug:name>/versions/<int:number>"

urlpatterns = [
    path("budgets", BudgetsView.as_view(), name="api-budgets"),
    path("budgets/<slug:name>", BudgetView.as_view(), name="api-budget"),
    path("decisions", DecisionsView.as_view(), name="api-decisions"),
    path("decisions/<uuid:decision_id>", DecisionView.as_view(), name="api-decision"),
    path("decisions/<uuid:decision_id>/votes", VotesView.as_view(), name="api-votes"),
    path("decisions/<uuid:decision_id>/claim", ClaimView.as_view(), name="api-claim"),
    path("decisions/<uuid:decision_id>/release", ReleaseView.as_view(), name="api-release"),
    path("missions/<uuid:uid>/follow", FollowView.as_view(), name="api-follow"),
    path("hooks", hooks_api.HooksView.as_view(), name="api-hooks"),
    path("hooks/<slug:name>", hooks_api.HookView.as_view(), name="api-hook"),
    path("hooks/<slug:name>/versions", hooks_api.HookVersionsView.as_view(), name="api-hook-versions"),
    path("hooks/<slug:name>/arrivals", hooks_api.ArrivalsView.as_view(), name="api-hook-arrivals"),
    path("hooks/<slug:name>/secret", hooks_api.HookSecretView.as_view(), name="api-hook-secret"),
    path("hooks/<slug:name>/try", hooks_api.HookTryView.as_view(), name="api-hook-try"),
    path("webhooks", WebhooksView.as_view(), name="api-webhooks"),
    path("webhooks/<int:webhook_id>", WebhookView.as_view(), name="api-webhook"),
    path("webhooks/<int:webhook_id>/deliveries", DeliveriesView.as_view(), name="api-deliveries"),
    path(
        "webhooks/<int:webhook_id>/deliveries/<uuid:delivery_id>/redeliver", RedeliverView.as_view(),
        name="api-redeliver",
    ),
    path(
        "decisions/<uuid:decision_id>/delegate", delegation_api.HandOnView.as_view(), name="api-decision-delegate"
    ),
    path("delegations", delegation_api.DelegationsView.as_view(), name="api-delegations"),
    path("delegations/<uuid:delegation_id>", delegation_api.DelegationView.as_view(), name="api-delegation"),
    path("calendars", calendar_api.CalendarsView.as_view(), name="api-calendars"),
    path("calendars/<slug:calendar>", calendar_api.CalendarView.as_view(), name="api-calendar"),
    path("decisions/bulk-votes", deeds_api.BulkVotesView.as_view(), name="api-bulk-votes"),
    path("decisions/<uuid:decision_id>/comments", deeds_api.CommentsView.as_view(), name="api-comments"),
    path("decisions/<uuid:decision_id>/undo", deeds_api.UndoView.as_view(), name="api-undo"),
    path("decisions/<uuid:decision_id>/withdraw", deeds_api.WithdrawView.as_view(), name="api-withdraw"),
    path(
        "decisions/<uuid:decision_id>/callback/redeliver", deeds_api.CallbackView.as_view(), name="api-call-back"
    ),
    path("decisions/<uuid:decision_id>/looks", deeds_api.LooksView.as_view(), name="api-looks"),
    path("decisions/<uuid:decision_id>/similar", deeds_api.PrecedentsView.as_view(), name="api-similar"),
    path("missions/<uuid:uid>/decisions", MissionDecisionsView.as_view(), name="api-mission-decisions"),
    path("policies", policy_api.PoliciesView.as_view(), name="api-policies"),
    path("policies/<slug:name>/mode", policy_change_api.ModeView.as_view(), name="api-policy-mode"),
    path("policies/<slug:name>/events", policy_api.EventsView.as_view(), name="api-policy-events"),
    path("policies/<slug:name>/versions", policy_api.VersionsView.as_view(), name="api-policy-versions"),
    path(VERSION, policy_api.VersionView.as_view(), name="api-policy-version"),
    path(f"{VERSION}.yaml", policy_api.VersionFileView.as_view(), name="api-policy-file"),
    path(f"{VERSION}/submit", policy_change_api.SubmitView.as_view(), name="api-policy-submit"),
    path(f"{VERSION}/withdraw", policy_change_api.WithdrawView.as_view(), name="api-policy-withdraw"),
    path(f"{VERSION}/restore", policy_change_api.RestoreView.as_view(), name="api-policy-restore"),
    path(f"{VERSION}/diff", policy_api.DiffView.as_view(), name="api-policy-diff"),
    path(f"{VERSION}/touched", policy_api.TouchedView.as_view(), name="api-policy-touched"),
    path("policies/<slug:name>/try", TryView.as_view(), name="api-policy-try"),
    path("policies/<slug:name>/simulate", SimulateView.as_view(), name="api-policy-simulate"),
    path("policies/replays/<uuid:replay_id>", ReplayView.as_view(), name="api-replay"),
    path("policies/replays/<uuid:replay_id>/differences", DifferencesView.as_view(), name="api-replay-differences"),
]
