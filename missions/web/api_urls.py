"""Paths of the missions' REST API, below /api/v1/; none ends with a slash."""

from __future__ import annotations

from django.urls import path

from missions.web import schema  # noqa: F401  (tells the OpenAPI generator of the token scheme)
from missions.web.api import MissionsView, MissionView, SignalsView
from missions.web.freeze_api import FreezeView, ThawView
from missions.web.record_api import (
    CheckpointsView,
    EffectsView,
    JournalView,
    MissionEffectsView,
    TimelinesView,
    VerifyView,
)
from missions.web.registry_api import MissionTypesView, ToolsView

urlpatterns = [
    path("missions", MissionsView.as_view(), name="api-missions"),
    path("missions/<uuid:uid>", MissionView.as_view(), name="api-mission"),
    path("missions/<uuid:uid>/journal", JournalView.as_view(), name="api-journal"),
    path("missions/<uuid:uid>/checkpoints", CheckpointsView.as_view(), name="api-checkpoints"),
    path("missions/<uuid:uid>/effects", MissionEffectsView.as_view(), name="api-mission-effects"),
    path("missions/<uuid:uid>/timelines", TimelinesView.as_view(), name="api-timelines"),
    path("missions/<uuid:uid>/signals", SignalsView.as_view(), name="api-signals"),
    path("missions/<uuid:uid>/verify", VerifyView.as_view(), name="api-verify"),
    path("freeze", FreezeView.as_view(), name="api-freeze"),
    path("freeze/thaw", ThawView.as_view(), name="api-thaw"),
    path("effects", EffectsView.as_view(), name="api-effects"),
    path("mission-types", MissionTypesView.as_view(), name="api-mission-types"),
    path("tools", ToolsView.as_view(), name="api-tools"),
]
