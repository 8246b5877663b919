"""Decisions of missions that people have found to be wrong."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class WrongMark(models.Model):
    """A person says that a decision of a mission was wrong. Never taken back: a second word is another row's."""

    mission_id = models.BigIntegerField()
    seq = models.IntegerField(help_text="The entry that records the decision.")
    reason = models.TextField()
    marked_by = models.CharField(max_length=200)
    marked_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mission_id", "seq"], name="wrong_once")]

    def __str__(self) -> str:
        return f"{self.mission_id} {self.seq}"


class Forked(models.Model):
    """Where a fork came from."""

    mission_id = models.BigIntegerField(primary_key=True)
    source_id = models.BigIntegerField(db_index=True)
    source_seq = models.IntegerField(help_text="The source's last entry that it shares.")
    own_seq = models.IntegerField(help_text="The same in the fork.")

    def __str__(self) -> str:
        return f"{self.mission_id} of {self.source_id}"
