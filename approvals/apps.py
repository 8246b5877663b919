"""App configuration of policies and the decision queue."""

from importlib import import_module

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Governance policies and the decision queue; implements `missions.governance.Gate`."""

    name = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the alarm handlers and the parts of bundles, in every process that runs Django."""
        import_module("approvals.alarms")
        import_module("approvals.budgets.asking")
        import_module("approvals.keeping")
