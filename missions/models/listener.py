"""Who wants to hear of a mission's end: what the lane asks before it tells anybody (`engine/sql/ended.sql`)."""

from __future__ import annotations

from django.db import models


class Listener(models.Model):
    """Somebody above listens: to one mission (`mission:ID`), to all that a person starts (`person:ID`), to `all`."""

    subject = models.CharField(max_length=40, primary_key=True)

    def __str__(self) -> str:
        return self.subject
