"""Pages of stop buttons, below /stops/."""

from __future__ import annotations

from django.urls import path

from observability.console import stop_views

urlpatterns = [
    path("", stop_views.stops_page, name="stops"),
    path("<int:stop_id>/lift/", stop_views.lift, name="stop-lift"),
]
