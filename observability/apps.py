"""App configuration of the rail, the console and the health checks."""

from importlib import import_module

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class ObservabilityConfig(AppConfig):
    """Reads the journal and the decisions; nothing below imports it."""

    name = "observability"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the watchdog; put the scheduled jobs on the clock after migrations; models must be loaded first."""
        import_module("observability.watchdog")
        tasks = import_module("observability.tasks")
        post_migrate.connect(tasks.on_migrated, sender=apps.get_app_config("django_q"), dispatch_uid="standfast")
