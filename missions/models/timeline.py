"""Timelines: the branches of a mission's history. A rollback opens a new one; the old one stays readable."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField, IntegerRangeField
from django.db import models

from missions.models.fields import DatabaseNow


class Timeline(models.Model):
    """A timeline that was opened; the first one of a mission has a row only where it was copied from another mission.

    `kept` are the ranges of seq that make up its history: those of its parent up to `to_seq`, then what follows its
    opening. The journal is the record; this row is what claims and pages read.
    """

    pk = models.CompositePrimaryKey("mission_id", "number")
    mission_id = models.BigIntegerField()
    number = models.IntegerField()
    parent = models.IntegerField()
    to_seq = models.IntegerField(help_text="The last entry of the parent that it keeps.")
    opened_seq = models.IntegerField(help_text="The entry that opened it.")
    kept = ArrayField(IntegerRangeField())
    seed = models.UUIDField(help_text="What `uuid` and `random` of this timeline come from.")
    verb = models.CharField(max_length=12, help_text="rollback, retry, fork")
    reason = models.TextField(blank=True)
    guidance = models.TextField(blank=True)
    opened_by = models.CharField(max_length=200, blank=True)
    opened_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return f"{self.mission_id} timeline {self.number}"
