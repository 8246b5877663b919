"""What the second release has new in the database."""

from __future__ import annotations

from django.db import models


class Parcel(models.Model):
    """A table that refers to missions, so that making it locks theirs."""

    mission = models.ForeignKey("missions.Mission", on_delete=models.CASCADE, related_name="+")
    weight = models.IntegerField(default=0)

    class Meta:
        app_label = "rollout"

    def __str__(self) -> str:
        return f"{self.weight} g for mission {self.mission_id}"
