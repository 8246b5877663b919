"""Restrictions: mission types and data classes that only some groups see."""

from __future__ import annotations

from django.db import models


class RestrictedScope(models.TextChoices):
    """What is restricted."""

    MISSION_TYPE = "mission_type", "Mission type"  # its missions
    DATA_CLASS = "data_class", "Data class"  # missions of all types that are cleared for it


class Restriction(models.Model):
    """A group that sees what is restricted; with the first one of a name, all other groups no longer do.

    Whoever started a mission sees it all the same, and so do administrators.
    """

    scope = models.CharField(max_length=12, choices=RestrictedScope)
    name = models.CharField(max_length=100)
    group = models.CharField(max_length=150)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "name", "group"], name="restriction_once")]
        ordering = ["scope", "name", "group"]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.name}: {self.group}"
