"""Decisions, and the votes that settle them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from approvals.models import reach
from approvals.models.delegation import Delegation
from approvals.models.tier import Tier, TierState
from missions.models.fields import CurrentTransaction, DatabaseNow
from missions.visibility import unrestricted


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
    TOOL_CHANGE = "tool_change", "Tool change"  # a server offers a tool differently than it was accepted


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
OPEN, SETTLED = Q(state=DecisionState.OPEN), ~Q(state=DecisionState.OPEN)


class DecisionQuerySet(models.QuerySet["Decision"]):
    """Filters over decisions; none has side effects."""

    def open(self) -> DecisionQuerySet:
        """Not settled yet."""
        return self.filter(state=DecisionState.OPEN)

    def visible_to(self, user: User, standing: reach.Standing | None = None) -> DecisionQuerySet:
        """What this person may see: what they are or were asked, voted on or asked for, also in another's place.

        Overseers see all, but for missions that are restricted to other groups. `standing` is theirs as just
        read by `reach.standing_of`; without it, it is read here.
        """
        if not user.is_active:
            return self.none()
        if user.is_superuser:
            return self
        standing = standing or reach.standing_of(user)
        asked = reach.asked(standing)
        if not standing.groups.intersection(OVERSEERS):
            return self.filter(asked)
        shown = unrestricted(set(standing.groups), "mission__")
        return self.filter(shown | Q(mission=None) | asked) if shown else self

    def for_voter(self, user: User, standing: reach.Standing | None = None) -> DecisionQuerySet:
        """Open, and this person may vote on them now, for themselves or for who gave them their vote."""
        standing = standing or reach.standing_of(user)
        rows, may = self.open().filter(reach.asked(standing)), Q()
        in_force = Q(delegation=None) | Q(delegation__revoked_at=None)  # what was revoked is in nobody's way
        votes = Vote.objects.filter(in_force, retraction__isnull=True)
        for number, route in enumerate(reach.routes(standing)):
            rows = rows.alias(**{f"seat_{number}": reach.free_seat(route, votes)})
            may |= Q(**{f"seat_{number}__isnull": False}) & ~reach.behind(route.people)
        return rows.filter(may)

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
    asked_digest = models.CharField(max_length=64, blank=True, help_text="The digest of what the mission asked for.")
    edits = models.PositiveSmallIntegerField(default=0, help_text="How often people changed the arguments.")
    editors = ArrayField(models.BigIntegerField(), default=list, help_text="Users who changed them; none may vote.")
    retracted = ArrayField(models.BigIntegerField(), default=list, help_text="Votes that were taken back.")
    answers = models.JSONField(default=dict, help_text="Of a question: form (text, options, schema), schema.")
    demands = models.JSONField(default=list, help_text="Evidence that policy wants looked at: source, max_age_seconds.")
    hold_seconds = models.FloatField(default=0, help_text="How long an approval waits before the mission is told.")
    hold_until = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True, help_text="When the mission was told of a held approval.")
    tool = models.CharField(max_length=200, blank=True)
    mission_type = models.CharField(max_length=100, blank=True)
    searched = models.CharField(max_length=701, blank=True, help_text="The sentence and the mission's title.")
    subject = models.CharField(max_length=100, blank=True, help_text="What it is about: the first id among its args.")
    band = models.SmallIntegerField(null=True, help_text="The size of its amount, in half powers of ten.")
    audience = ArrayField(models.CharField(max_length=160), default=list, help_text="Who may see it: g:GROUP, u:USER.")
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
            models.Index(fields=["kind", "due_at", "id"], name="decision_open_kind", condition=OPEN),
            models.Index(fields=["kind", "-resolved_at", "id"], name="decision_done_kind", condition=SETTLED),
            models.Index(
                fields=["tool", "mission_type", "band", "-resolved_at"], name="decision_alike", condition=SETTLED
            ),
            models.Index(
                fields=["tool", "subject", "-resolved_at"], name="decision_subject", condition=SETTLED & ~Q(subject="")
            ),
            GinIndex(fields=["audience"], name="decision_audience", fastupdate=False),
            GinIndex(fields=["audience"], name="decision_audience_open", fastupdate=False, condition=OPEN),
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
    def is_held(self) -> bool:
        """Whether it is approved and its mission has yet to be told."""
        return self.state == DecisionState.APPROVED and self.hold_until is not None and self.released_at is None

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


class ReasonCode(models.TextChoices):
    """Why a person did not approve, for who counts; the comment says it in words."""

    WRONG_DETAILS = "wrong_details", "The details are wrong"
    MISSING_EVIDENCE = "missing_evidence", "Evidence is missing"
    AGAINST_POLICY = "against_policy", "It is against the rules"
    DUPLICATE = "duplicate", "It was done already"
    NOT_NEEDED = "not_needed", "It is not needed"
    OTHER = "other", "Something else"


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
    answer = models.JSONField(null=True, help_text="The answer to a question: text, or what its schema says.")
    edited_from = models.JSONField(null=True, help_text="The arguments as they were before this vote changed them.")
    edited_args = models.JSONField(null=True, help_text="The arguments as this vote changed them.")
    again = models.PositiveSmallIntegerField(default=0, help_text="How many votes on this digest were taken back.")
    looked_seconds = models.FloatField(null=True, help_text="From the voter's first look at this digest to the vote.")
    evidence_opened = models.PositiveSmallIntegerField(null=True, help_text="How many pieces the voter had opened.")
    channel = models.CharField(max_length=20, help_text="console, api")
    cast_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["decision", "digest", "voter", "tier", "again"], name="vote_once"),
        ]
        indexes = [models.Index(fields=["mission_id", "tx"], name="vote_mission")]

    def __str__(self) -> str:
        return f"{self.voter} {self.verdict}"
