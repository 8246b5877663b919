"""The root URLs."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="queue"), name="home"),
    path("login/", LoginView.as_view(template_name="login.html", redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("me/", include("observability.console.account_urls")),
    path("queue/", include("approvals.web.urls")),
    path("", include("approvals.web.outbound_urls")),
    path("hooks/", include("approvals.web.hook_urls")),
    path("policies/", include("approvals.web.simulation_urls")),
    path("missions/", include("observability.console.urls")),
    path("schedules/", include("observability.console.schedule_urls")),
    path("me/", include("observability.console.me_urls")),
    path("calendars/", include("observability.console.calendar_urls")),
    path("tools/", include("observability.console.tool_urls")),
    path("agents/", include("observability.console.agent_urls")),
    path("stops/", include("observability.console.stop_urls")),
    path("budgets/", include("observability.console.budget_urls")),
    path("policies/", include("approvals.web.policies.urls")),
    path("api/v1/", include("config.api_urls")),
    path("admin/", admin.site.urls),
    path("", include("observability.web.urls")),
]

handler400 = "missions.web.problems.bad_request"
handler403 = "missions.web.problems.forbidden"
handler404 = "missions.web.problems.not_found"
handler500 = "missions.web.problems.server_error"
