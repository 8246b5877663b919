"""Sign-ins: where a person is signed in, so that they can see it and end it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from missions.models.fields import DatabaseNow


class SignIn(models.Model):
    """One session of a person, from signing in until it ends. The session's row is what grants access."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sign_ins")
    session_key = models.CharField(max_length=40, unique=True)
    address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=300, blank=True, help_text="What the browser calls itself.")
    signed_in_at = models.DateTimeField(db_default=DatabaseNow())
    ended_at = models.DateTimeField(null=True, help_text="Signed out, or ended by hand; null for one that ran out.")

    class Meta:
        indexes = [models.Index(fields=["user", "-signed_in_at"], name="sign_in_user")]

    def __str__(self) -> str:
        return f"{self.user} {self.signed_in_at}"
