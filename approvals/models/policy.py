"""Policies: named rule tables with immutable versions."""

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
    IN_REVIEW = "in_review", "In review"
    ACTIVE = "active", "Active"  # at most one per policy
    RETIRED = "retired", "Retired"


class Policy(models.Model):
    """A named, ordered table of rules."""

    name = models.SlugField(max_length=100, unique=True)
    mode = models.CharField(max_length=10, choices=Mode, default=Mode.ENFORCE)
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
