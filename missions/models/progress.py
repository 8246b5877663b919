"""How far the calls of a mission have come that are under way, in their own words.

Not part of the record: a row is overwritten while its call runs, and goes with the entry that ends the call.
"""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class Progress(models.Model):
    """The last heartbeat of one call. Written over the lane, by the owner's attempt only."""

    pk = models.CompositePrimaryKey("mission_id", "timeline", "chapter", "path")
    mission_id = models.BigIntegerField()
    timeline = models.IntegerField()
    chapter = models.IntegerField()
    path = models.CharField(max_length=500)
    cursor = models.BinaryField(null=True, help_text="Canonical JSON: where a call that was cut off goes on.")
    progress = models.BinaryField(null=True, help_text="Canonical JSON, for people.")
    workspace = models.BinaryField(null=True, help_text="The workspace as of the cursor, where the call used it.")
    attempt = models.IntegerField()
    reported_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return f"{self.mission_id} {self.path}"
