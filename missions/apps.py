"""App configuration of the durable engine."""

import importlib

from django.apps import AppConfig


class MissionsConfig(AppConfig):
    """The bottom layer: knows neither approvals nor observability."""

    name = "missions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks (a wrong file of MCP servers stops start-up), handlers of alarms, MCP tools."""
        for module in (
            "tools.checks", "tools.learning", "engine.endings", "engine.deadlines", "engine.schedules",
            "web.signing_in", "mcp_server.mission_tools",
        ):
            importlib.import_module(f"missions.{module}")
