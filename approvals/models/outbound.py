"""What leaves the house: events, who is told of them by which channel, and decisions that other systems opened.

An event is written once, with what it tells of; a delivery is its way to one receiver and carries all of its state.
Ids of missions and decisions are plain values, so that what was sent outlives what it told of.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from missions.identity import uuid7
from missions.models.fields import DatabaseNow


class EventKind(models.TextChoices):
    """What people and other systems can be told of."""

    OPENED = "decision.opened", "A decision waits for me"  # its first tier is asked
    DUE_SOON = "decision.due_soon", "A decision is due soon"
    OVERDUE = "decision.overdue", "A decision is overdue"
    ESCALATED = "decision.escalated", "A decision came to me by escalation"  # the tier before ran out of time
    SETTLED = "decision.settled", "A decision that I asked for is settled"
    COMMENT = "decision.comment", "Someone commented on a decision of mine"
    COMPLETED = "mission.completed", "A mission completed"
    FAILED = "mission.failed", "A mission failed"  # or was cancelled
    ATTENTION = "mission.needs_attention", "A mission needs attention"  # paused, and not by a person
    STUCK = "mission.stuck", "A mission is stuck"
    IN_DOUBT = "mission.in_doubt", "An effect of a mission is in doubt"
    BUDGET = "mission.budget", "A mission used up its budget"
    WORKER_DOWN = "worker.down", "Mission workers are down"  # none lives, or one is silent


class Event(models.Model):
    """Something that happened; written in the transaction in which it did. Rows never change but for `spread_at`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=30, choices=EventKind)
    decision_id = models.UUIDField(null=True)
    mission_uid = models.UUIDField(null=True)
    sentence = models.CharField(max_length=500, blank=True, help_text="What it is about, in plain words.")
    facts = models.JSONField(default=dict, help_text="State, verdict and the like; never arguments or evidence.")
    at = models.DateTimeField(db_default=DatabaseNow())
    spread_at = models.DateTimeField(null=True, help_text="When its deliveries were written.")

    class Meta:
        indexes = [
            models.Index(fields=["at"], name="event_unspread", condition=Q(spread_at=None)),
            models.Index(fields=["at"], name="event_at"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.sentence}"


class WebhookFormat(models.TextChoices):
    """How a webhook is spoken to."""

    STANDARD = "standard", "Signed JSON"  # Standard Webhooks
    SLACK = "slack", "Slack-compatible text"  # {"text": …}


class Webhook(models.Model):
    """An address that is told of events. Its secret is derived from `salt` and the installation's key, never kept."""

    name = models.SlugField(max_length=100, unique=True)
    url = models.CharField(max_length=2000)
    format = models.CharField(max_length=10, choices=WebhookFormat, default=WebhookFormat.STANDARD)
    events = models.JSONField(default=list, help_text="Kinds of events; `*` is all of them.")
    active = models.BooleanField(default=True)
    why_off = models.CharField(max_length=200, blank=True, help_text="Why it was switched off, if not by a person.")
    salt = models.CharField(max_length=64)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return self.name


class External(models.Model):
    """How a system outside asked for a decision: who, under which key, and where the answer goes."""

    decision = models.OneToOneField("approvals.Decision", models.CASCADE, primary_key=True, related_name="external")
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    token_id = models.BigIntegerField(null=True, help_text="The API token that asked; it names the callback's secret.")
    source = models.CharField(max_length=100, blank=True)
    key = models.CharField(max_length=200, null=True)  # noqa: DJ001  (null: no key was given)
    body_digest = models.CharField(max_length=64)
    callback_url = models.CharField(max_length=2000, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["opened_by", "key"], name="external_key")]

    def __str__(self) -> str:
        return f"{self.source or self.opened_by}: {self.key or self.pk}"


class Channel(models.TextChoices):
    """By which way a delivery goes."""

    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"
    CALLBACK = "callback", "Callback"  # to the system that opened the decision


class DeliveryState(models.TextChoices):
    """Where a delivery stands."""

    WAITING = "waiting", "Waiting"  # for its time, or for another try
    SENDING = "sending", "Sending"  # somebody's, until the lease is over
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"  # given up; it can be delivered again
    DROPPED = "dropped", "Dropped"  # nobody is to get it any more


class Delivery(models.Model):
    """One event on its way to one receiver. Its id is what the receiver can tell repetitions by."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    event = models.ForeignKey(Event, models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=Channel)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    webhook = models.ForeignKey(Webhook, models.CASCADE, null=True, related_name="deliveries")
    external = models.ForeignKey(External, models.CASCADE, null=True, related_name="deliveries")
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.WAITING)
    together = models.BooleanField(default=False, help_text="Goes out with others of the same person in one message.")
    next_at = models.DateTimeField(help_text="Not before; while it is being sent, when the lease is over.")
    lease = models.UUIDField(null=True, help_text="Whose result counts.")
    tries = models.PositiveSmallIntegerField(default=0, help_text="Begun since it was asked for last.")
    error = models.CharField(max_length=300, blank=True, help_text="Why the last try failed, or it was dropped.")
    created_at = models.DateTimeField(db_default=DatabaseNow())
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event", "user"], name="delivery_person", condition=Q(user__isnull=False)),
            models.UniqueConstraint(
                fields=["event", "webhook"], name="delivery_webhook", condition=Q(webhook__isnull=False)
            ),
            models.UniqueConstraint(
                fields=["event", "external"], name="delivery_external", condition=Q(external__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], name="delivery_due", condition=Q(state__in=["waiting", "sending"])),
            models.Index(fields=["webhook", "-created_at", "id"], name="delivery_of_webhook"),
            models.Index(fields=["-done_at"], name="delivery_failed", condition=Q(state="failed")),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.id}: {self.state}"


class DeliveryTry(models.Model):
    """What came of one try; append-only."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="log")
    at = models.DateTimeField(db_default=DatabaseNow())
    status = models.PositiveSmallIntegerField(null=True, help_text="The HTTP status that was answered.")
    error = models.CharField(max_length=300, blank=True)
    milliseconds = models.PositiveIntegerField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.error or f"{self.status or 'accepted'}"


class DigestEvery(models.TextChoices):
    """How often what is collected goes out."""

    HOUR = "hour", "Every hour"
    DAY = "day", "Once a day"


class NotificationChoice(models.Model):
    """What one person wants to be told, and when. Without a row the defaults hold."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    events = models.JSONField(default=dict, help_text="By kind: now, digest or off.")
    time_zone = models.CharField(max_length=60, default="UTC")
    digest_every = models.CharField(max_length=4, choices=DigestEvery, default=DigestEvery.DAY)
    digest_at = models.TimeField(default="08:00", help_text="When the daily one goes out, in the person's time zone.")
    quiet_from = models.TimeField(null=True, help_text="In the person's time zone.")
    quiet_until = models.TimeField(null=True)

    def __str__(self) -> str:
        return f"choices of {self.user}"


class Follower(models.Model):
    """A person who wants to hear of a mission that somebody else started."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    mission_id = models.BigIntegerField()
    since = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mission_id", "user"], name="follower_once")]

    def __str__(self) -> str:
        return f"{self.user} follows {self.mission_id}"
