"""Pages of tools, below /tools/."""

from __future__ import annotations

from django.urls import path

from observability.console import registered_views, server_views, tool_views

urlpatterns = [
    path("", tool_views.tools, name="tools"),
    path("forms/<int:form_id>/", server_views.form, name="tool-form"),
    path("servers/new/", registered_views.new, name="tool-server-new"),
    path("servers/<str:name>/", registered_views.server, name="tool-server"),
    path("servers/<str:name>/remove/", registered_views.remove, name="tool-server-remove"),
    path("<str:name>/", tool_views.tool, name="tool"),
    path("<str:name>/limit/", tool_views.limit, name="tool-limit"),
    path("<str:name>/circuit/", tool_views.circuit, name="tool-circuit"),
]
