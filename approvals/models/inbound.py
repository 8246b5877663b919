"""What comes in: hooks, what each of their versions says, and the events that arrived.

A version is never changed; what a hook does is what its newest version says. An arrival is one event of a sender, told
from others by what the sender signed.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

from missions.models.fields import DatabaseNow


class Scheme(models.TextChoices):
    """How a sender signs."""

    STANDARD = "standard", "Standard Webhooks"  # id, time and body
    BODY = "body", "The body alone (as GitHub)"  # sha256=HEX in a header
    STAMPED = "stamped", "Time and body (as Stripe)"  # t=SECONDS,v1=HEX in a header


class Verb(models.TextChoices):
    """What an event does."""

    SIGNAL = "signal", "Sends a signal"
    START = "start", "Starts a mission"


class By(models.TextChoices):
    """How the mission of a signal is named."""

    ID = "id", "Its id"
    KEY = "key", "The key that it was started with"


class ArrivalOutcome(models.TextChoices):
    """What became of an event."""

    STARTED = "started", "Started a mission"
    SIGNALLED = "signalled", "Sent a signal"
    IGNORED = "ignored", "Ignored"  # its condition does not hold
    REFUSED = "refused", "Refused"  # did nothing; the sender may try again


class Hook(models.Model):
    """An address for events. Its secret is derived from `salt` and the installation's key, never kept."""

    name = models.SlugField(max_length=100, unique=True)
    number = models.PositiveIntegerField(help_text="The version that counts.")
    salt = models.CharField(max_length=64)
    former_salt = models.CharField(max_length=64, blank=True)
    former_until = models.DateTimeField(null=True, help_text="Until when the secret before counts too.")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    refusals = models.PositiveIntegerField(default=0, help_text="Events that were not well signed.")
    refused_at = models.DateTimeField(null=True)
    refused_why = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return self.name


class HookVersion(models.Model):
    """What a hook did from one time on; append-only."""

    hook = models.ForeignKey(Hook, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.JSONField(help_text="As `approvals.inbound.mapping.Content`.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hook", "number"], name="hook_version")]

    def __str__(self) -> str:
        return f"{self.hook} {self.number}"


class Arrival(models.Model):
    """An event that came to a hook, well signed."""

    hook = models.ForeignKey(Hook, models.CASCADE, related_name="arrivals")
    key = models.CharField(max_length=200, help_text="What tells it from others: the signed id, or the body's digest.")
    digest = models.CharField(max_length=64, help_text="sha256 of the body; the body itself is not kept.")
    size = models.PositiveIntegerField()
    number = models.PositiveIntegerField(help_text="The version that decided.")
    outcome = models.CharField(max_length=10, choices=ArrivalOutcome, default=ArrivalOutcome.REFUSED)
    code = models.CharField(max_length=40, blank=True)
    why = models.CharField(max_length=500, blank=True)
    mission = models.UUIDField(null=True)
    times = models.PositiveIntegerField(default=0, help_text="How often it came.")
    first_at = models.DateTimeField(db_default=DatabaseNow())
    last_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hook", "key"], name="arrival_once")]
        indexes = [
            models.Index(fields=["hook", "-id"], name="arrival_of_hook"),
            models.Index(fields=["last_at"], name="arrival_age"),
        ]

    def __str__(self) -> str:
        return f"{self.hook} {self.key}: {self.outcome}"
