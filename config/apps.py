"""App configuration of the wiring itself: it brings the commands `up`, `demo` and `runhousekeeping`."""

from django.apps import AppConfig


class StandfastConfig(AppConfig):
    """Wires the layers together; nobody imports it."""

    name = "config"
    label = "standfast"
