"""Pages of missions."""

from __future__ import annotations

from django.urls import path

from observability.console import freeze_views, operations, start_views, views

urlpatterns = [
    path("", views.missions, name="missions"),
    path("start/", start_views.choose, name="mission-start"),
    path("start/<str:type>/", start_views.start, name="mission-start-type"),
    path("archive/", operations.archive, name="archive"),
    path("archive/<uuid:archived_id>/", operations.archived, name="archived"),
    path("freeze/", freeze_views.freeze, name="freeze"),
    path("<uuid:uid>/", views.mission, name="mission"),
]
