"""Freezes: the database lost something that its workers had seen, so nothing is claimed until a person has looked."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class Freeze(models.Model):
    """A finding that a backup was restored or a standby promoted. At most one is open; thawed ones stay as a record."""

    why = models.TextField()
    host = models.CharField(max_length=200, help_text="Where the witness lies that speaks against this database.")
    witness = models.JSONField(help_text="What was seen before, and what is there now.")
    # On the real clock, like the readings of witnesses that it is compared with.
    found_at = models.DateTimeField()
    thawed_at = models.DateTimeField(null=True)
    thawed_by = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True, help_text="Why it was thawed.")
    nothing_was_lost = models.BooleanField(default=False, help_text="A planned move: no mission became suspect.")
    recorded_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["thawed_at"], name="freeze_open", condition=models.Q(thawed_at=None), nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return self.why
