"""What the watches found last, which missions do not move, and what happened day by day."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class Check(models.Model):
    """The latest finding of one watch, such as `worker-heartbeat` or `rail-gap`."""

    name = models.CharField(max_length=100, primary_key=True)
    ok = models.BooleanField()
    detail = models.TextField(blank=True)
    position = models.BigIntegerField(default=0, help_text="From where a reading watch goes on: a transaction, a day.")
    checked_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return f"{self.name}: {'ok' if self.ok else self.detail}"


class Stuck(models.Model):
    """Something that should move and does not; gone when it moves again. `subject` is a mission's uid or an alarm."""

    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=200)
    mission = models.UUIDField(null=True)
    detail = models.TextField()
    found_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "subject"], name="stuck_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.detail}"


class Daily(models.Model):
    """What happened to one mission type on one closed day (UTC); computed once, and kept when the missions leave."""

    day = models.DateField()
    type = models.CharField(max_length=100)
    started = models.IntegerField(default=0)
    completed = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    verdicts = models.JSONField(default=dict, help_text="How many completed with which verdict.")
    median_seconds = models.FloatField(null=True, help_text="From start to end, of those that ended on the day.")
    p95_seconds = models.FloatField(null=True)
    decisions = models.IntegerField(default=0, help_text="Settled on the day.")
    people_seconds = models.FloatField(default=0, help_text="How long these decisions were open, in sum.")
    effects_done = models.IntegerField(default=0, help_text="Of those that ended on the day.")
    effects_in_doubt = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "type"], name="daily_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.type}"
