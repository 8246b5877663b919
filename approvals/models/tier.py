"""The tiers of decisions and who sits in them: one row a group or person, so that lists are asked of the database."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models


class OnExpiry(models.TextChoices):
    """What happens when nobody decides in time; never an approval."""

    REJECT = "reject", "Reject"
    ESCALATE = "escalate", "Escalate to the next tier"
    HOLD = "hold", "Keep waiting"


class TierState(models.TextChoices):
    """Where one tier stands."""

    WAITING = "waiting", "Waiting"  # an earlier tier comes first
    OPEN = "open", "Open"
    MET = "met", "Met"
    FAILED = "failed", "Failed"  # rejected, or its time ran out


class TierQuerySet(models.QuerySet["Tier"]):
    """Filters over tiers, and the one way to change the state of several."""

    def open(self) -> TierQuerySet:
        """Those that people may vote in."""
        return self.filter(state=TierState.OPEN)

    def close(self, state: TierState) -> None:
        """Close these tiers, and their seats with them. The caller holds the decision's row lock."""
        keys = list(self.values_list("pk", flat=True))
        Tier.objects.filter(pk__in=keys).update(state=state)
        TierApprover.objects.filter(tier__in=keys, open=True).update(open=False)


class Tier(models.Model):
    """One demand of a decision. Tiers of one stage are open at once; stages come one after the other."""

    decision = models.ForeignKey("approvals.Decision", models.CASCADE, related_name="tiers")
    order = models.PositiveSmallIntegerField()
    stage = models.PositiveSmallIntegerField(default=1)
    name = models.CharField(max_length=150, blank=True, help_text="Unique in the decision; the group's, by default.")
    group = models.CharField(max_length=150, blank=True, help_text="The group, where one group alone may vote.")
    quorum = models.PositiveSmallIntegerField(default=1, help_text="How many different people.")
    all_of = models.BooleanField(default=False, help_text="Whether each approver is needed, by a person of its own.")
    distinct_from = models.JSONField(null=True, help_text="Names of tiers; null: all others; []: none.")
    apart = ArrayField(
        models.PositiveSmallIntegerField(), default=list, help_text="The orders of the tiers that need other people."
    )
    state = models.CharField(max_length=10, choices=TierState, default=TierState.WAITING)
    calendar = models.CharField(max_length=100, blank=True, help_text="Whose hours count until it is due.")
    sla_seconds = models.PositiveIntegerField(null=True, help_text="From the tier's opening until it is due.")
    expires_seconds = models.PositiveIntegerField(null=True, help_text="From the tier's opening until it expires.")
    opened_at = models.DateTimeField(null=True)
    remind_at = models.DateTimeField(null=True, help_text="When half of its time is over.")
    due_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True, help_text="When its time ran out without an answer.")
    reminded_at = models.DateTimeField(null=True)
    overdue_told_at = models.DateTimeField(null=True)
    on_expiry = models.CharField(max_length=10, choices=OnExpiry, default=OnExpiry.REJECT)

    objects = TierQuerySet.as_manager()

    class Meta:
        ordering = ["order"]
        constraints = [models.UniqueConstraint(fields=["decision", "order"], name="tier_order")]
        indexes = [
            models.Index(fields=["group", "decision"], name="tier_open", condition=models.Q(state="open")),
            models.Index(
                fields=["remind_at"], name="tier_remind", condition=models.Q(state="open", reminded_at=None)
            ),
            models.Index(
                fields=["due_at"], name="tier_overdue", condition=models.Q(state="open", overdue_told_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} ({self.quorum})"

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or self.group


class TierApprover(models.Model):
    """A seat of a tier: a group or a person that may vote in it. Neither: nobody, by now."""

    tier = models.ForeignKey(Tier, models.CASCADE, related_name="approvers")
    decision = models.ForeignKey("approvals.Decision", models.CASCADE, related_name="+")
    position = models.PositiveSmallIntegerField()
    spec = models.JSONField(help_text="As policy wrote it: {group} or {person} or {attribute, fallback}.")
    group = models.CharField(max_length=150, blank=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    resolved = models.JSONField(default=list, help_text="What it led to: {at, person or group, why}, in order.")
    open = models.BooleanField(default=False, help_text="Whether a vote from here would bring the decision further.")

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["tier", "position"], name="tier_approver")]
        indexes = [
            models.Index(fields=["group", "decision"], name="approver_group_open", condition=models.Q(open=True)),
            models.Index(fields=["person", "decision"], name="approver_person_open", condition=models.Q(open=True)),
            models.Index(fields=["group", "decision"], name="approver_group"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """Who this is, in words."""
        attribute = self.spec.get("attribute", "")
        who = self.group or (self.person.get_username() if self.person else self.spec.get("person", ""))
        return f"{who or 'nobody'} ({attribute})" if attribute else str(who)
