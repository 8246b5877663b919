"""The mission's hot row, and what is told once about it: its brief and its outcome.

The hot row is narrow and holds no payload: claims and parks rewrite it. Input, results and texts live in the
append-only tables beside it.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q

from missions.identity import uuid7
from missions.models.fields import DatabaseNow


class State(models.TextChoices):
    """Where a mission stands. Whether it is due is never a state: due means no owner and `wake_at` ≤ now."""

    READY = "ready", "Ready"  # may be claimed as soon as it is due
    RUNNING = "running", "Running"  # a worker owns it
    SLEEPING = "sleeping", "Sleeping"  # parked until a time
    WAITING = "waiting", "Waiting"  # parked until a decision or a signal
    PAUSED = "paused", "Paused"  # stopped by a person, or needs attention
    COMPLETED = "completed", "Completed"  # ended with a verdict
    FAILED = "failed", "Failed"  # ended by an error
    CANCELLED = "cancelled", "Cancelled"  # ended by a person
    EXPORTED = "exported", "Exported"  # goes on elsewhere


ENDED = (State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPORTED)


class Mission(models.Model):
    """One durable run of a mission type. Only the engine writes here, apart from `deliver` and `start`."""

    uid = models.UUIDField(unique=True, default=uuid7, editable=False)
    type = models.CharField(max_length=100)
    version = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12, choices=State, default=State.READY)
    reason = models.CharField(max_length=60, blank=True, help_text="Why it is paused.")
    owner = models.BigIntegerField(null=True, help_text="The worker that runs it.")
    attempt = models.IntegerField(default=0, help_text="Rises with each claim and each takeover: the fence.")
    timeline = models.IntegerField(default=1)
    chapter = models.IntegerField(default=1)
    replay_from = models.IntegerField(default=1, help_text="The first seq that replay needs.")
    head_seq = models.IntegerField(default=0, help_text="The last seq as of the last park.")
    inbox_seq = models.IntegerField(default=0, help_text="How many signals were ever delivered.")
    mail_from = models.IntegerField(default=0, help_text="All signals up to this one were taken by earlier chapters.")
    control_seq = models.IntegerField(default=0, help_text="The newest signal that is a control.")
    control_done = models.IntegerField(default=0, help_text="The newest control that was taken.")
    wake_at = models.DateTimeField(null=True)
    priority = models.SmallIntegerField(default=0, help_text="Higher runs first among the missions that are due.")
    waits_for = models.CharField(
        max_length=200, blank=True, help_text="`decision:ID`, `signal:NAME`, `child:ID`, `mission:ID` or `timer`."
    )
    waits_since = models.DateTimeField(null=True)
    step = models.CharField(max_length=200, blank=True, help_text="The path of the last entry as of the last park.")
    deadline_at = models.DateTimeField(null=True)
    effects_off = models.BooleanField(default=False, help_text="A fork that may not change the world.")
    parent = models.BigIntegerField(null=True)
    strikes = models.SmallIntegerField(default=0, help_text="How many workers it took down without progress.")
    strike_head = models.IntegerField(default=0, help_text="The last seq as of the last strike.")
    suspect = models.BooleanField(default=False, help_text="A backup was restored: what it did since may be forgotten.")
    idempotency_key = models.CharField(max_length=300, null=True, unique=True)  # noqa: DJ001  (null: no key given)

    class Meta:
        indexes = [
            # As claim.sql walks it. Only wake_at and owner ever change, and a claim and a park change both anyway.
            models.Index(
                fields=["type", "-version", "-priority", "wake_at"], name="mission_due",
                condition=Q(owner=None, wake_at__isnull=False),
            ),
            models.Index(  # controls that wait, whatever the type: few at any time
                fields=["wake_at"], name="mission_steered", condition=Q(owner=None, control_seq__gt=F("control_done")),
            ),
            models.Index(fields=["owner"], name="mission_owned", condition=Q(owner__isnull=False)),
            models.Index(fields=["parent"], name="mission_parent", condition=Q(parent__isnull=False)),
            models.Index(
                fields=["wake_at"], name="mission_quarantined",
                condition=Q(owner=None, wake_at__isnull=False, strikes__gte=2),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.uid}"

    @property
    def ended(self) -> bool:
        """Whether nothing more will ever happen to it on this host."""
        return self.state in ENDED


class Brief(models.Model):
    """What a mission was started with; written once by `start`."""

    mission = models.OneToOneField(Mission, models.CASCADE, primary_key=True, related_name="brief")
    title = models.CharField(max_length=200)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    started_via = models.CharField(max_length=20, help_text="console, api, command, mission")
    started_at = models.DateTimeField(db_default=DatabaseNow())
    start_at = models.DateTimeField(null=True, help_text="Not before this time.")

    class Meta:
        indexes = [BrinIndex(fields=["started_at"], name="brief_started", pages_per_range=16, autosummarize=True)]

    def __str__(self) -> str:
        return self.title


class Outcome(models.Model):
    """How a mission ended; written once by the lane in the transaction that ends it."""

    mission = models.OneToOneField(Mission, models.CASCADE, primary_key=True, related_name="outcome")
    verdict = models.CharField(max_length=100, blank=True)
    summary = models.TextField(blank=True)
    data = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    ended_at = models.DateTimeField()

    class Meta:  # BRIN, as rows come in the order of their ends: it costs the engine nothing
        indexes = [BrinIndex(fields=["ended_at"], name="outcome_ended", pages_per_range=16, autosummarize=True)]

    def __str__(self) -> str:
        return self.verdict or self.error[:100]
