"""What the self-test of isolation found, host by host."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class SandboxCheck(models.Model):
    """The latest finding on one host; written by its workers as they start, and when it changes."""

    host = models.CharField(max_length=200, unique=True)
    driver = models.CharField(max_length=40)
    capabilities = models.JSONField(default=list)
    missing = models.JSONField(default=dict, help_text="Capability: why, and how to mend it.")
    findings = models.JSONField(default=list, help_text="Each attempt to escape, and what came of it.")
    checked_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return f"{self.host}: {self.driver}"
