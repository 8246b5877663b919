"""Operations: is the process alive, is the system ready."""

from __future__ import annotations

from django.urls import path

from observability.console import operations
from observability.web import health

urlpatterns = [
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("health/", operations.health, name="health"),
]
