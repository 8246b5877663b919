"""Resources on MCP servers that missions wait for."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class AwaitedResource(models.Model):
    """A mission waits until a resource is another than it knows. Written by its worker whenever it parks there, taken
    away with the delivery of the change; one whose mission has ended means nothing."""

    name = models.CharField(max_length=60, primary_key=True, help_text="Of the signal that tells it.")
    mission_id = models.BigIntegerField()
    slot = models.CharField(max_length=400, help_text="The wait's path without occurrences: the next one replaces it.")
    server = models.CharField(max_length=100)
    resource = models.CharField(max_length=2000, help_text="Its URI.")
    known = models.CharField(max_length=64, help_text="The digest of what the mission knows.")
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mission_id", "slot"], name="awaited_resource_slot")]
        indexes = [models.Index(fields=["server"], name="awaited_resource_server")]

    def __str__(self) -> str:
        return f"{self.mission_id} waits for {self.resource} of {self.server}"
