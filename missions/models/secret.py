"""Secrets that the platform keeps: encrypted, written by the command line, resolved by the tool gateway alone."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class Secret(models.Model):
    """One named value under the cipher of `missions.secrets.vault`; never shown again."""

    name = models.CharField(max_length=100, primary_key=True)
    ciphertext = models.TextField()
    created_at = models.DateTimeField(db_default=DatabaseNow())
    changed_at = models.DateTimeField(db_default=DatabaseNow())
    changed_by = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.name
