"""API tokens: scoped, expiring, stored as a hash."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from missions.models.fields import DatabaseNow


class ApiToken(models.Model):
    """A bearer secret of one user; only sha256 of it is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    label = models.CharField(max_length=100, blank=True)
    agent = models.CharField(
        max_length=100, blank=True, help_text="The agent that acts with it: whose decisions from outside these are."
    )
    prefix = models.CharField(max_length=12, help_text="The first characters, to recognise it by.")
    hash = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list, help_text="Empty: all that the user may do.")
    created_at = models.DateTimeField(db_default=DatabaseNow())
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.user}"
