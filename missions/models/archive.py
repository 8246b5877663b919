"""The archive: what became of missions that have left the hot tables, their bundles, and what may not leave.

No foreign keys to missions: these rows outlive them.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from missions.models.fields import DatabaseNow


class Archived(models.Model):
    """One sealed bundle of one mission; `number` is its place in the chain of seals. Never deleted, by trigger.

    Sealed first, then `removed_at` when the rows have left the hot tables, and `returned_at` when they are there again
    (restored, or the mission moved on before it was removed). At most one row of a mission has no `returned_at`.
    """

    number = models.BigIntegerField(primary_key=True)
    mission_id = models.BigIntegerField()
    uid = models.UUIDField()
    type = models.CharField(max_length=100)
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=12)
    verdict = models.CharField(max_length=100, blank=True)
    started_by_id = models.BigIntegerField(null=True, help_text="Who may see it, beside those who see all.")
    started_by = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    idempotency_key = models.CharField(max_length=300, null=True)  # noqa: DJ001  (null: no key given)
    entries = models.IntegerField()
    chain_head = models.BinaryField(help_text="The last link of its journal.")
    manifest = models.JSONField(help_text="Of the bundle's parts: rows and sha256 of each.")
    digest = models.BinaryField(help_text="sha256 of the bundle, which is also its address.")
    bytes = models.BigIntegerField()
    location = models.CharField(max_length=10, help_text="`database` or `folder`.")
    previous = models.BinaryField(help_text="The seal before.")
    seal = models.BinaryField(help_text="See `missions.keeping.seal`.")
    sealed_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)
    returned_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "missions_archive"
        constraints = [
            models.UniqueConstraint(fields=["mission_id"], name="archived_once", condition=Q(returned_at=None)),
        ]
        indexes = [
            models.Index(fields=["uid"], name="archived_uid"),
            models.Index(fields=["digest"], name="archived_digest"),
            models.Index(fields=["number"], name="archived_halfway", condition=Q(removed_at=None, returned_at=None)),
            models.Index(
                fields=["idempotency_key"], name="archived_key", condition=Q(idempotency_key__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.uid} under seal {self.number}"


class BundlePiece(models.Model):
    """A piece of a bundle in the database, at most 1 MiB; addressed by sha256 of the whole bundle."""

    pk = models.CompositePrimaryKey("digest", "number")
    digest = models.BinaryField()
    number = models.IntegerField()
    body = models.BinaryField()

    class Meta:
        db_table = "missions_bundle"

    def __str__(self) -> str:
        return f"{bytes(self.digest).hex()[:16]} {self.number}"


class Hold(models.Model):
    """A mission that may not leave the hot tables while this row stands, as the law may ask."""

    mission_id = models.BigIntegerField(primary_key=True)
    reason = models.CharField(max_length=500)
    held_by = models.CharField(max_length=200, blank=True)
    held_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return f"{self.mission_id}: {self.reason}"
