"""Effects: the index over intents and outcomes that the ledger pages and the in-doubt watch read.

The journal is the record; a row here is written in the same transaction as the entry that it mirrors.
"""

from __future__ import annotations

from django.db import models


class EffectState(models.TextChoices):
    """What is known of an effect."""

    INTENDED = "intended", "Intended"  # the intent is recorded, no outcome yet
    DONE = "done", "Done"  # it happened, once
    NOT_DONE = "not_done", "Not done"  # it certainly did not happen
    IN_DOUBT = "in_doubt", "In doubt"  # nobody knows yet
    UNDONE = "undone", "Undone"  # it happened and was compensated


class Effect(models.Model):
    """One generation of one effect."""

    id = models.UUIDField(primary_key=True)  # uuid5 over the key
    mission_id = models.BigIntegerField(db_index=True)
    seq = models.IntegerField(help_text="The seq of its intent.")
    timeline = models.IntegerField()
    chapter = models.IntegerField()
    path = models.CharField(max_length=500)
    generation = models.IntegerField()
    tool = models.CharField(max_length=200)
    key = models.CharField(max_length=64, unique=True, help_text="The idempotency key that the call carries.")
    args_digest = models.CharField(max_length=64)
    effect_class = models.CharField(max_length=12)
    retry_safety = models.CharField(max_length=12)
    compensate = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=EffectState)
    deadline_at = models.DateTimeField()
    outcome_seq = models.IntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["mission_id"], name="effect_open", condition=models.Q(state__in=["intended", "in_doubt"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool} {self.state}"
