"""App configuration of the durable engine."""

from django.apps import AppConfig


class MissionsConfig(AppConfig):
    """The bottom layer: knows neither approvals nor observability."""

    name = "missions"
    default_auto_field = "django.db.models.BigAutoField"
