"""Schedules: missions that start by the clock."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from missions.models.fields import DatabaseNow


class Missed(models.TextChoices):
    """What becomes of the times that came while nobody could start anything."""

    SKIP = "skip", "Leave them out"  # only a time that is not late counts
    LATEST = "latest", "Start once"  # the last of them counts
    ALL = "all", "Start each"  # each of them counts, up to a bound


class Schedule(models.Model):
    """A cron expression, and the mission that it starts. `next_at` is the time that its alarm is set for."""

    name = models.CharField(max_length=100, unique=True)
    type = models.CharField(max_length=100)
    input = models.JSONField(default=dict)
    title = models.CharField(max_length=200, blank=True)
    cron = models.CharField(max_length=100, help_text="Five fields: minute, hour, day, month, day of the week.")
    timezone = models.CharField(max_length=64, default="UTC")
    missed = models.CharField(max_length=6, choices=Missed, default=Missed.LATEST)
    enabled = models.BooleanField(default=True)
    priority = models.SmallIntegerField(default=0)
    run_as = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    next_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True, help_text="The nominal time of the last mission that it started.")
    last_mission = models.BigIntegerField(null=True)
    last_error = models.TextField(blank=True, help_text="Why the last time started nothing; empty where it did.")
    changed_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return self.name
