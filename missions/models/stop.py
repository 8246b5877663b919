"""Stop buttons: what people have stopped, over all workers, and which missions stand at it."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class StopScope(models.TextChoices):
    """What a stop stops."""

    ALL = "all", "Everything"  # no mission goes on
    AGENT = "agent", "Agent"  # no call in its name starts
    TOOL = "tool", "Tool"  # no call of it starts
    MISSION_TYPE = "mission_type", "Mission type"  # no mission of it goes on


class Stop(models.Model):
    """Something that people stopped. At most one is in force for a scope and name; lifted ones stay as a record."""

    scope = models.CharField(max_length=12, choices=StopScope)
    name = models.CharField(max_length=200, blank=True, help_text="Exact; empty where everything is stopped.")
    reason = models.TextField()
    pressed_by = models.CharField(max_length=200)
    pressed_at = models.DateTimeField(db_default=DatabaseNow())
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.CharField(max_length=200, blank=True)
    lift_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "name"], name="stop_once", condition=models.Q(lifted_at=None)),
        ]
        indexes = [models.Index(fields=["-pressed_at"], name="stop_history")]

    def __str__(self) -> str:
        return f"{self.scope}:{self.name}" if self.name else self.scope

    @property
    def told(self) -> str:
        """What is stopped, in words."""
        return f"Stopped: {self.get_scope_display().lower()} {self.name}".rstrip() + "."


class Held(models.Model):
    """A mission with a call that stands at a stop; it is told when the stop is lifted."""

    stop = models.ForeignKey(Stop, models.CASCADE, related_name="held")
    mission_id = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stop", "mission_id"], name="held_once")]

    def __str__(self) -> str:
        return f"{self.stop_id} {self.mission_id}"
