"""Replays of a policy version on history: the run, its parts, and where its rulings differ from what was.

Nothing here binds anything. Rows are written by the replay's own mission; parts and differences are never changed.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from approvals.models.policy import PolicyVersion
from missions.models.fields import DatabaseNow


class Change(models.TextChoices):
    """How the ruling on an action differs from what was ruled."""

    ESCALATE_ALLOW = "escalate_allow", "Asked → allowed"  # people were asked, and would not be any more
    DENY_ALLOW = "deny_allow", "Denied → allowed"  # it did not happen, and would
    DENY_ESCALATE = "deny_escalate", "Denied → asked"  # people could let it happen
    ALLOW_ESCALATE = "allow_escalate", "Allowed → asked"  # it would wait for people
    ALLOW_DENY = "allow_deny", "Allowed → denied"  # it would not happen any more
    ESCALATE_DENY = "escalate_deny", "Asked → denied"  # people are asked no more, and it does not happen
    ESCALATE_OTHER = "escalate_other", "Other people asked"  # asked both times, of other tiers


class Replay(models.Model):
    """One run of one version over the rulings of a stretch of time. Its id is that of the mission that runs it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(PolicyVersion, models.PROTECT, related_name="replays")
    window = models.JSONField(default=dict, help_text="As it was asked for: from, until, last.")
    mission_type = models.CharField(max_length=100, blank=True, help_text="Only actions of missions of this type.")
    beside = models.JSONField(default=list, help_text="What was in force at the start: version id, digest, enforced.")
    since = models.JSONField(null=True, help_text="The place in history before the first ruling.")
    until = models.DateTimeField(null=True, help_text="Rulings from this time on are left out.")
    total = models.IntegerField(null=True, help_text="How many rulings there are; null until they were counted.")
    done = models.IntegerField(default=0)
    differing = models.IntegerField(default=0)
    summary = models.JSONField(null=True, help_text="What came of it; null until its end.")
    loosens = models.BooleanField(null=True, help_text="Whether any action is ruled on less strictly than by now.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=DatabaseNow())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["version", "-created_at"], name="replay_of_version")]

    def __str__(self) -> str:
        return f"Replay of {self.version}"


class ReplayPart(models.Model):
    """One stretch of a replay, counted once: whoever repeats it finds it here."""

    replay = models.ForeignKey(Replay, models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    until = models.JSONField(help_text="The place in history of its last ruling.")
    more = models.BooleanField(help_text="Whether rulings may follow.")
    counts = models.JSONField(help_text="As `approvals.simulation.counting.Count.as_json`.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["replay", "number"], name="replay_part_once")]

    def __str__(self) -> str:
        return f"{self.replay_id} part {self.number}"


class ReplayDifference(models.Model):
    """One action on which the replay rules otherwise. The mission may have left for the archive meanwhile: no key."""

    replay = models.ForeignKey(Replay, models.CASCADE, related_name="differences")
    change = models.CharField(max_length=20, choices=Change)
    at = models.DateTimeField()
    mission_id = models.BigIntegerField()
    mission_uid = models.UUIDField()
    mission_type = models.CharField(max_length=100)
    seq = models.IntegerField(help_text="The entry of the ruling.")
    tool = models.CharField(max_length=200)
    title = models.CharField(max_length=200, blank=True)
    agent = models.CharField(max_length=200, blank=True)
    was_version = models.CharField(max_length=120, blank=True)
    decided = models.CharField(max_length=20, blank=True, help_text="How people decided it then; empty: nobody did.")
    undone = models.BooleanField(default=False, help_text="It happened and was rolled back later.")
    looser = models.BooleanField(default=False, help_text="Less strict than what is in force.")
    rules = models.JSONField(default=list, help_text="The names of the rules that would decide.")
    tiers = models.JSONField(default=list, help_text="The names of the tiers that would be asked.")
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["replay", "change", "id"], name="replay_difference_kind")]

    def __str__(self) -> str:
        return f"{self.mission_uid}:{self.seq} {self.change}"
