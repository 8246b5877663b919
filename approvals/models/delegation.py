"""Who votes in whose place, and the facts of each delegation; and what else is known of a person."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from missions.models.fields import DatabaseNow


class DelegationQuerySet(models.QuerySet["Delegation"]):
    """Filters over delegations."""

    def in_force(self) -> DelegationQuerySet:
        """Those that give a vote now: begun, not over, not revoked, and both accounts active."""
        now = DatabaseNow()
        return self.filter(
            starts_at__lte=now, ends_at__gt=now, revoked_at=None, giver__is_active=True, receiver__is_active=True
        )

    def not_over(self) -> DelegationQuerySet:
        """Those that are in force or will be."""
        return self.filter(ends_at__gt=DatabaseNow(), revoked_at=None)


class Delegation(models.Model):
    """The receiver votes in the giver's place for a while. Never handed on: a delegate gives none of it away."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    giver = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    receiver = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    groups = models.JSONField(default=list, help_text="Of the giver's; empty: all that the giver may decide.")
    # No constraint in the database: the delegation stays when its mission and the decision leave for the archive.
    decision = models.ForeignKey(
        "approvals.Decision", models.DO_NOTHING, null=True, db_constraint=False, related_name="+",
        help_text="This one only; null: all.",
    )
    reason = models.CharField(max_length=500, blank=True)
    revoked_at = models.DateTimeField(null=True)

    objects = DelegationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=models.F("starts_at")), name="delegation_dated"),
            models.CheckConstraint(condition=~Q(giver=models.F("receiver")), name="delegation_to_another"),
        ]
        indexes = [models.Index(fields=["ends_at"], name="delegation_live", condition=Q(revoked_at=None))]

    def __str__(self) -> str:
        return f"{self.giver} to {self.receiver}"


class DelegationFact(models.Model):
    """What was done with a delegation, when and by whom; append-only by trigger."""

    delegation = models.ForeignKey(Delegation, models.PROTECT, related_name="history")
    what = models.CharField(max_length=10, help_text="given, revoked")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=DatabaseNow())
    terms = models.JSONField(help_text="The delegation as it was then.")

    def __str__(self) -> str:
        return f"{self.what} by {self.by}"


class Profile(models.Model):
    """What governance knows of a person beside the groups; made on demand. Administrators say who manages whom."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="profile")
    manager = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return str(self.user)
