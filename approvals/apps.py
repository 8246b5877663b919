"""App configuration of policies and the decision queue."""

from importlib import import_module

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Governance policies and the decision queue; implements `missions.governance.Gate`."""

    name = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register alarm handlers, what follows from decisions, and parts of bundles, in every process with Django."""
        import_module("approvals.alarms")
        import_module("approvals.budgets.asking")
        import_module("approvals.keeping")
        import_module("approvals.mcp_tools")
        import_module("approvals.policies.activation")
        import_module("approvals.outbound.choices")
        import_module("approvals.outbound.outcomes")
        import_module("approvals.outbound.reminders")
        import_module("approvals.tool_changes")
