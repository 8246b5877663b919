"""Pages of missions."""

from __future__ import annotations

from django.urls import path

from observability.console import freeze_views, start_views, views

urlpatterns = [
    path("", views.missions, name="missions"),
    path("start/", start_views.choose, name="mission-start"),
    path("start/<str:type>/", start_views.start, name="mission-start-type"),
    path("freeze/", freeze_views.freeze, name="freeze"),
    path("<uuid:uid>/", views.mission, name="mission"),
]
