"""The mailbox: messages to a mission, append-only. What was taken is told by the journal."""

from __future__ import annotations

from django.db import models

from missions.models.fields import CurrentTransaction, DatabaseNow


class Signal(models.Model):
    """A message to a mission; `seq` counts per mission from 1. The same key counts once."""

    pk = models.CompositePrimaryKey("mission_id", "seq")
    mission_id = models.BigIntegerField()
    seq = models.IntegerField()
    tx = models.BigIntegerField(db_default=CurrentTransaction())
    name = models.CharField(max_length=200)
    payload = models.BinaryField(help_text="Canonical JSON.")
    key = models.CharField(max_length=200, null=True)  # noqa: DJ001  (null: no key given)
    sender = models.CharField(max_length=200, blank=True)
    sent_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mission_id", "key"], name="signal_once")]

    def __str__(self) -> str:
        return f"{self.mission_id} {self.name}"
