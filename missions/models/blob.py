"""Content kept by its sha256, in portions, and who needs it: artifacts and workspaces of missions.

A blob's row and all its portions are written in one transaction: where the row is, the content is whole.
"""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class Blob(models.Model):
    """Some content. Equal content is kept once; `stored_at` is when it was last offered, which collection heeds."""

    digest = models.BinaryField(primary_key=True, help_text="sha256 of the content.")
    size = models.BigIntegerField()
    stored_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return bytes(self.digest).hex()[:16]


class Portion(models.Model):
    """At most 1 MiB of a blob; `number` counts from 0."""

    pk = models.CompositePrimaryKey("digest", "number")
    digest = models.BinaryField()
    number = models.IntegerField()
    body = models.BinaryField()

    def __str__(self) -> str:
        return f"{bytes(self.digest).hex()[:16]} {self.number}"


class BlobUse(models.Model):
    """A mission needs a blob: an entry of it names the blob, or a workspace that an entry names holds it."""

    pk = models.CompositePrimaryKey("digest", "mission_id")
    digest = models.BinaryField()
    mission_id = models.BigIntegerField(db_index=True)

    def __str__(self) -> str:
        return f"{self.mission_id} needs {bytes(self.digest).hex()[:16]}"


class Artifact(models.Model):
    """The index over ARTIFACT entries; written in the transaction of the entry that it mirrors."""

    pk = models.CompositePrimaryKey("mission_id", "seq")
    mission_id = models.BigIntegerField()
    seq = models.IntegerField()
    timeline = models.IntegerField()
    name = models.CharField(max_length=100)
    media_type = models.CharField(max_length=100)
    size = models.BigIntegerField()
    digest = models.BinaryField()
    kept_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return self.name
