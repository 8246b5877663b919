"""The REST API of all layers, below /api/v1/."""

from __future__ import annotations

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from missions.web.endpoint import Nowhere
from observability.web.api import ObservationsView
from observability.web.operations_api import HealthView, StatsView
from observability.web.spend_api import AgentSpendView

# The same for everybody and without data, so nobody needs to sign in to read them.
schema = SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[])
docs = SpectacularSwaggerView.as_view(url_name="api-schema", authentication_classes=[], permission_classes=[])

urlpatterns = [
    path("", include("missions.web.api_urls")),
    path("", include("approvals.web.api_urls")),
    path("observations", ObservationsView.as_view(), name="api-observations"),
    path("health", HealthView.as_view(), name="api-health"),
    path("stats", StatsView.as_view(), name="api-stats"),
    path("agents/<slug:name>/spend", AgentSpendView.as_view(), name="api-agent-spend"),
    re_path(r"^schema/?$", schema, name="api-schema"),
    re_path(r"^docs/?$", docs, name="api-docs"),
    re_path(r"^.*$", Nowhere.as_view(), name="api-nowhere"),
]
