"""E-mail that tools hand to a mail server: what a probe reads to tell whether one was sent."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class Handed(models.TextChoices):
    """How far one e-mail came."""

    HANDING = "handing"  # committed before its last byte leaves; if this stays, nobody here can tell
    SENT = "sent"  # the server took it
    VOID = "void"  # a probe found nothing; calls that were made until then may send nothing any more


class OutgoingMail(models.Model):
    """One e-mail under its effect's key. Neither its text nor who gets it is kept, only whom the server refused."""

    key = models.CharField(max_length=64, primary_key=True)
    state = models.CharField(max_length=10, choices=Handed.choices)
    deadline_at = models.DateTimeField(help_text="Of the call that wrote this.")
    message_id = models.CharField(max_length=200, blank=True)
    result = models.JSONField(default=dict, help_text="What the call answers.")
    at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return self.message_id or self.key
