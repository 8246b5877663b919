"""Pages of tools, below /tools/."""

from __future__ import annotations

from django.urls import path

from observability.console import tool_views

urlpatterns = [
    path("", tool_views.tools, name="tools"),
    path("<str:name>/", tool_views.tool, name="tool"),
    path("<str:name>/limit/", tool_views.limit, name="tool-limit"),
    path("<str:name>/circuit/", tool_views.circuit, name="tool-circuit"),
]
