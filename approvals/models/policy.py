"""Policies: named rule tables with immutable versions, what is asked to change in them, and the trail of what did."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from missions.models.fields import CurrentTransaction, DatabaseNow


class Mode(models.TextChoices):
    """How far a policy binds."""

    OFF = "off", "Off"  # not evaluated
    SHADOW = "shadow", "Shadow"  # evaluated beside the others, binds nothing
    ENFORCE = "enforce", "Enforce"  # binds


class VersionState(models.TextChoices):
    """The life of a policy version."""

    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"  # people decide on it
    SHADOW = "shadow", "Shadow"  # approved; evaluated beside the active one, binding nothing, until its time comes
    ACTIVE = "active", "Active"  # at most one per policy
    RETIRED = "retired", "Retired"  # was active, or a later draft took its place


class Policy(models.Model):
    """A named, ordered table of rules."""

    name = models.SlugField(max_length=100, unique=True)
    mode = models.CharField(max_length=10, choices=Mode, default=Mode.ENFORCE)
    modes = models.JSONField(
        default=list, help_text="Other modes by scope: mission_type, tool, agent (globs), mode; the first that fits."
    )
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return self.name


class PolicyVersion(models.Model):
    """The rules at one time. `rules` never changes after the insert (trigger); only the state does."""

    policy = models.ForeignKey(Policy, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=VersionState, default=VersionState.DRAFT)
    rules = models.JSONField(help_text="In order; the shape of the policy file.")
    digest = models.CharField(max_length=64, help_text="sha256 over the canonical rules.")
    tx = models.BigIntegerField(db_default=CurrentTransaction())
    base = models.ForeignKey("self", models.PROTECT, null=True, related_name="+", help_text="What it was edited from.")
    replay = models.JSONField(null=True, help_text="What a replay on history said of it.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_via = models.CharField(max_length=200, blank=True, help_text="The operating-system user of a bypass.")
    created_at = models.DateTimeField(db_default=DatabaseNow())
    activated_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="policy_version_number"),
            models.UniqueConstraint(fields=["policy"], condition=models.Q(state="active"), name="policy_one_active"),
        ]

    def __str__(self) -> str:
        return f"{self.policy.name} v{self.number}"


class PolicyChange(models.Model):
    """What a decision of kind policy_change is about: a version to be put in force, or another mode."""

    policy = models.ForeignKey(Policy, models.PROTECT, related_name="changes")
    decision = models.OneToOneField("approvals.Decision", models.PROTECT, related_name="policy_change")
    version = models.ForeignKey(PolicyVersion, models.PROTECT, null=True, related_name="changes")
    mode_change = models.JSONField(null=True, help_text="mode (null takes a scope's row away) and scope.")
    activate_at = models.DateTimeField(null=True, help_text="Not before this; null: with the approval.")
    note = models.TextField(blank=True)
    gains = models.JSONField(default=dict, help_text="Who would gain by it: groups, people, mission_types (globs).")

    def __str__(self) -> str:
        return f"{self.version or self.policy}"


class PolicyEvent(models.Model):
    """One thing that happened to a policy; append-only by trigger, and chained by hash within the policy."""

    policy = models.ForeignKey(Policy, models.PROTECT, related_name="events")
    seq = models.PositiveIntegerField(help_text="From 1, without a gap.")
    what = models.CharField(max_length=30, help_text="saved, submitted, activated, mode, …")
    version = models.ForeignKey(PolicyVersion, models.PROTECT, null=True, related_name="events")
    decision = models.ForeignKey("approvals.Decision", models.PROTECT, null=True, related_name="+")
    by = models.CharField(max_length=150, blank=True, help_text="The person's name, as it was then.")
    via = models.CharField(max_length=200, blank=True, help_text="console, api, command line, decision")
    why = models.TextField(blank=True)
    facts = models.JSONField(default=dict)
    at = models.DateTimeField(help_text="On the database clock.")
    link = models.CharField(max_length=64, help_text="sha256 over the link before and all of the above.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["policy", "seq"], name="policy_event_seq")]

    def __str__(self) -> str:
        return f"{self.policy} {self.what}"
