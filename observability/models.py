"""What the watches found last."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class Check(models.Model):
    """The latest finding of one watch, such as `worker-heartbeat` or `rail-gap`."""

    name = models.CharField(max_length=100, primary_key=True)
    ok = models.BooleanField()
    detail = models.TextField(blank=True)
    position = models.BigIntegerField(default=0, help_text="The transaction from which a reading watch goes on.")
    checked_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return f"{self.name}: {'ok' if self.ok else self.detail}"
