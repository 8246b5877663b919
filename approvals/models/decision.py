"""Decisions, and the votes that settle them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

from approvals.models import reach
from approvals.models.delegation import Delegation
from approvals.models.tier import Tier, TierState
from missions.models.fields import CurrentTransaction, DatabaseNow


class DecisionKind(models.TextChoices):
    """What is asked of people."""

    ACTION = "action", "Action"  # may this effect happen
    PLAN = "plan", "Plan"
    QUESTION = "question", "Question"  # an answer that is data
    VALIDATION = "validation", "Validation"  # a decision inside a mission that needs a second look
    IN_DOUBT = "in_doubt", "In doubt"  # did this effect happen
    STANDING = "standing", "Standing effect"  # what an earlier timeline did stands, and another thing is wanted
    ROLLBACK = "rollback", "Roll back"
    DIVERGENCE = "divergence", "Divergence"
    BUDGET = "budget", "Budget"
    MEMORY_PROMOTION = "memory_promotion", "Memory promotion"
    POLICY_CHANGE = "policy_change", "Policy change"
    EXTERNAL = "external", "External"


class DecisionState(models.TextChoices):
    """Where a decision stands. Expired is not rejected, and neither is withdrawn."""

    OPEN = "open", "Open"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    EXPIRED = "expired", "Expired"
    WITHDRAWN = "withdrawn", "Withdrawn"
    SUPERSEDED = "superseded", "Superseded"


if TYPE_CHECKING:
    from django.contrib.auth.models import User

OVERSEERS = ("operators", "auditors")  # groups that may read every decision, and vote on none by that right


class DecisionQuerySet(models.QuerySet["Decision"]):
    """Filters over decisions; none has side effects."""

    def open(self) -> DecisionQuerySet:
        """Not settled yet."""
        return self.filter(state=DecisionState.OPEN)

    def visible_to(self, user: User) -> DecisionQuerySet:
        """What this person may see: what they are or were asked, voted on or asked for; overseers all."""
        if not user.is_active:
            return self.none()
        groups = list(user.groups.values_list("name", flat=True))
        if user.is_superuser or not set(OVERSEERS).isdisjoint(groups):
            return self
        voted = Exists(Vote.objects.filter(decision=OuterRef("pk"), voter=user))
        behind = Q(requested_by=user) | Q(mission__brief__started_by=user)
        return self.filter(reach.asked(user, groups) | voted | behind)

    def for_voter(self, user: User) -> DecisionQuerySet:
        """Open, and this person may vote on them now, for themselves or for who gave them their vote."""
        return self.open().filter(pk__in=reach.waiting_seats(user, Vote.objects.all()).values("decision"))

    def waiting_for(self, name: str) -> DecisionQuerySet:
        """An open tier has this name, or waits for this group."""
        return self.filter(reach.waiting_for(name))

    def claimed(self) -> DecisionQuerySet:
        """Someone's lease is running."""
        return self.filter(claimed_by__isnull=False, claimed_until__gt=DatabaseNow())

    def unclaimed(self) -> DecisionQuerySet:
        """Nobody's lease is running."""
        return self.filter(Q(claimed_by=None) | Q(claimed_until=None) | Q(claimed_until__lte=DatabaseNow()))


class Decision(models.Model):
    """Something that people are asked. Rows are settled once, under a row lock, first writer wins."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tx = models.BigIntegerField(db_default=CurrentTransaction())
    kind = models.CharField(max_length=20, choices=DecisionKind)
    state = models.CharField(max_length=20, choices=DecisionState, default=DecisionState.OPEN)
    sentence = models.CharField(max_length=500)
    mission = models.ForeignKey("missions.Mission", models.PROTECT, null=True, related_name="decisions")
    timeline = models.IntegerField(default=1)
    chapter = models.IntegerField(default=1)
    path = models.CharField(max_length=500, blank=True)
    action = models.JSONField(default=dict, help_text="tool, args, effect_class, args_schema")
    choices = models.JSONField(default=list, help_text="value and label of each")
    facts = models.JSONField(default=dict)
    evidence = models.JSONField(default=list)
    digest = models.CharField(max_length=64)
    reversibility = models.CharField(max_length=15, help_text="read, reversible, compensable, irreversible")
    blast = models.JSONField(default=dict, help_text="count, money, recipients")
    risk = models.CharField(max_length=10, default="medium", help_text="low, medium, high")
    policy_version = models.CharField(max_length=120, blank=True)
    rules = models.JSONField(default=list, help_text="The names of the rules that asked.")
    reason = models.TextField(blank=True, help_text="Why policy asks, for people.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", help_text="Never counts in the quorum."
    )
    opened_at = models.DateTimeField(db_default=DatabaseNow())
    due_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    resolution = models.JSONField(null=True, help_text="The answer, as `missions.governance.Answer.as_json`.")
    superseded_by = models.ForeignKey("self", models.PROTECT, null=True, related_name="supersedes")
    claimed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    claimed_until = models.DateTimeField(null=True)

    objects = DecisionQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["due_at", "id"], name="decision_open", condition=models.Q(state="open")),
            models.Index(fields=["-resolved_at", "id"], name="decision_done", condition=~models.Q(state="open")),
            models.Index(fields=["-opened_at", "id"], name="decision_opened"),
            models.Index(fields=["tx"], name="decision_tx"),
        ]

    def __str__(self) -> str:
        return self.sentence

    @property
    def is_open(self) -> bool:
        """Whether people may still settle it."""
        return self.state == DecisionState.OPEN

    @property
    def open_tiers(self) -> list[Tier]:
        """The tiers whose turn it is, in order; reads the tiers as loaded."""
        return [tier for tier in self.tiers.all() if tier.state == TierState.OPEN]

    @property
    def open_tier(self) -> Tier | None:
        """The first of them."""
        return next(iter(self.open_tiers), None)

    def holder(self, now: dt.datetime) -> User | None:
        """Whose lease runs at this time of the database's clock."""
        return self.claimed_by if self.claimed_until is not None and self.claimed_until > now else None

    @property
    def policy(self) -> dict[str, Any]:
        """The policy that asked: name, version (null where no policy spoke), rules."""
        name, _, number = self.policy_version.rpartition(" v")
        return {"name": name, "version": int(number) if number.isdigit() else None, "rules": self.rules}


class VoteVerdict(models.TextChoices):
    """One person's answer."""

    APPROVE = "approve", "Approve"
    REJECT = "reject", "Reject"
    REQUEST_CHANGES = "request_changes", "Request changes"


class Vote(models.Model):
    """One person's answer to one digest; append-only by trigger."""

    decision = models.ForeignKey(Decision, models.PROTECT, related_name="votes")
    tier = models.ForeignKey(Tier, models.PROTECT, related_name="votes")
    tx = models.BigIntegerField(db_default=CurrentTransaction())
    mission_id = models.BigIntegerField(null=True, help_text="The mission's, so that the rail reads one table.")
    timeline = models.IntegerField(default=1)
    voter = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", help_text="In whose place."
    )
    delegation = models.ForeignKey(Delegation, models.PROTECT, null=True, related_name="+")
    carried_from = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="+", help_text="The vote of an earlier round that stands."
    )
    verdict = models.CharField(max_length=20, choices=VoteVerdict)
    digest = models.CharField(max_length=64)
    comment = models.TextField(blank=True)
    reason_code = models.CharField(max_length=50, blank=True)
    choice = models.CharField(max_length=50, blank=True)
    reference = models.CharField(max_length=200, blank=True)
    channel = models.CharField(max_length=20, help_text="console, api")
    cast_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["decision", "digest", "voter", "tier"], name="vote_once")]
        indexes = [models.Index(fields=["mission_id", "tx"], name="vote_mission")]

    def __str__(self) -> str:
        return f"{self.voter} {self.verdict}"
