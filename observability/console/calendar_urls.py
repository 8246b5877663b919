"""Pages of business calendars."""

from __future__ import annotations

from django.urls import path

from observability.console import calendar_views as views

urlpatterns = [
    path("", views.calendars_page, name="calendars"),
    path("new/", views.new, name="calendar-new"),
    path("<slug:calendar>/", views.edit, name="calendar"),
    path("<slug:calendar>/delete/", views.delete, name="calendar-delete"),
]
