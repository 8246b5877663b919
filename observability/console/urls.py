"""Pages of missions."""

from __future__ import annotations

from django.urls import path

from observability.console import start_views, views

urlpatterns = [
    path("", views.missions, name="missions"),
    path("start/", start_views.choose, name="mission-start"),
    path("start/<str:type>/", start_views.start, name="mission-start-type"),
    path("<uuid:uid>/", views.mission, name="mission"),
]
