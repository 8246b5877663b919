"""App configuration of the durable engine."""

import importlib

from django.apps import AppConfig


class MissionsConfig(AppConfig):
    """The bottom layer: knows neither approvals nor observability."""

    name = "missions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks (a wrong file of MCP servers stops start-up) and the handlers of alarms."""
        for module in ("tools.checks", "engine.endings", "engine.deadlines", "engine.schedules", "web.signing_in"):
            importlib.import_module(f"missions.{module}")
