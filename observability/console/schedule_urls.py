"""Pages of schedules."""

from __future__ import annotations

from django.urls import path

from observability.console import schedule_views as views

urlpatterns = [
    path("", views.schedules_page, name="schedules"),
    path("new/", views.new, name="schedule-new"),
    path("<slug:name>/", views.edit, name="schedule"),
    path("<slug:name>/act/", views.act, name="schedule-act"),
]
