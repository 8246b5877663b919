"""Period budgets: what an agent, a tool, a mission type, or all together may use in an hour, a day, a week, a month.

A budget has one account a period. What a call takes is a charge under the call's own key, so that a repeat takes
nothing twice and a takeover loses nothing. Where no budget is kept nothing here is read or written.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from missions.models.fields import DatabaseNow


class Subject(models.TextChoices):
    """Whose use a budget counts."""

    ALL = "all", "Everything"  # all missions together
    TYPE = "mission_type", "Mission type"  # missions of it
    AGENT = "agent", "Agent"  # what is done in its name
    TOOL = "tool", "Tool"  # calls of it


class Counted(models.TextChoices):
    """What a budget counts."""

    MONEY = "money", "Money"  # in one currency: what effects move, and what missions say that they spent
    TOKENS = "tokens", "Tokens"  # as missions say that they spent them
    STEPS = "steps", "Steps"  # begun
    WALL = "wall", "Seconds"  # that steps and calls were under way
    EFFECTS = "effects", "Effects"  # intended, less those that certainly did not happen


class Period(models.TextChoices):
    """How long an account runs."""

    HOUR = "hour", "Hour"  # by the calendar, in the budget's time zone, as all but the last
    DAY = "day", "Day"  # from midnight to midnight
    WEEK = "week", "Week"  # from Monday on
    MONTH = "month", "Month"  # from the first on
    ROLLING = "rolling", "Rolling"  # the last so many seconds, at any time


class Exhausted(models.TextChoices):
    """What happens where a budget is used up."""

    ESCALATE = "escalate", "Ask people"  # missions wait for one decision
    DENY = "deny", "Refuse"  # missions are refused


class PeriodBudget(models.Model):
    """A budget. Its row is the lock over all of its accounts, charges and waits."""

    name = models.SlugField(max_length=100, unique=True)
    subject = models.CharField(max_length=12, choices=Subject)
    subject_name = models.CharField(max_length=200, blank=True, help_text="Exact; empty for `all`.")
    counts = models.CharField(max_length=8, choices=Counted)
    currency = models.CharField(max_length=10, blank=True, help_text="Of money, as in GBP.")
    amount = models.DecimalField(max_digits=18, decimal_places=4)
    period = models.CharField(max_length=8, choices=Period)
    zone = models.CharField(max_length=60, default="UTC", help_text="The time zone of the calendar.")
    rolling_seconds = models.PositiveIntegerField(null=True)
    on_exhausted = models.CharField(max_length=8, choices=Exhausted, default=Exhausted.ESCALATE)
    group = models.CharField(max_length=150, blank=True, help_text="Who is asked.")
    extension = models.DecimalField(max_digits=18, decimal_places=4, help_text="What people can add in a period.")
    changed_by = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.CheckConstraint(name="period_budget_not_below_zero", condition=Q(amount__gte=0, extension__gte=0)),
            models.CheckConstraint(
                name="period_budget_rolls",
                condition=~Q(period="rolling") & Q(rolling_seconds=None) | Q(period="rolling", rolling_seconds__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class BudgetAccount(models.Model):
    """What is used of a budget in one period; of a rolling budget there is one account for good."""

    budget = models.ForeignKey(PeriodBudget, models.CASCADE, related_name="accounts")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, help_text="Null: it rolls.")
    used = models.DecimalField(max_digits=18, decimal_places=4, default=0, help_text="The sum of its charges' amounts.")
    extra = models.DecimalField(max_digits=18, decimal_places=4, default=0, help_text="What people have added.")
    rounds = models.IntegerField(default=0, help_text="Questions asked.")
    asked = models.BooleanField(default=False, help_text="Whether the last of them is open.")
    answer = models.CharField(max_length=10, blank=True, help_text="wait or stop, where people said so.")
    answered_until = models.DateTimeField(null=True, help_text="How long the answer and the extra hold.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["budget", "starts_at"], name="budget_account_once")]

    def __str__(self) -> str:
        return f"{self.budget_id} from {self.starts_at:%Y-%m-%d %H:%M}"


class ChargeState(models.TextChoices):
    """What became of a charge."""

    HELD = "held", "Held"  # what it is for may still turn out not to happen
    SPENT = "spent", "Spent"
    RETURNED = "returned", "Returned"  # it did not happen
    OVER = "over", "Over"  # it has left a rolling period


class BudgetCharge(models.Model):
    """What one call takes from one budget. `due` is what counts by now, `amount` what the account has counted of it."""

    budget = models.ForeignKey(PeriodBudget, models.CASCADE, related_name="charges")
    account = models.ForeignKey(BudgetAccount, models.CASCADE, related_name="charges")
    mission_id = models.BigIntegerField()
    key = models.CharField(max_length=64, help_text="The effect's, or one of the step's or call's place.")
    amount = models.DecimalField(max_digits=18, decimal_places=4)
    due = models.DecimalField(max_digits=18, decimal_places=4)
    state = models.CharField(max_length=8, choices=ChargeState)
    charged_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "budget"], name="budget_charge_once")]
        indexes = [
            models.Index(fields=["account"], name="budget_charge_unsettled", condition=~Q(due=F("amount"))),
            models.Index(fields=["account"], name="budget_charge_held", condition=Q(state="held")),
            models.Index(fields=["account", "charged_at"], name="budget_charge_age"),
        ]

    def __str__(self) -> str:
        return f"{self.due} {self.state}"


class BudgetWait(models.Model):
    """A call that waits for room in a budget; granted in order of priority and age."""

    budget = models.ForeignKey(PeriodBudget, models.CASCADE, related_name="waits", help_text="That lacks room.")
    mission_id = models.BigIntegerField()
    path = models.CharField(max_length=500)
    key = models.CharField(max_length=64, unique=True)
    wants = models.JSONField(help_text="By budget, all of which must have room: decimal texts.")
    priority = models.SmallIntegerField(default=0)
    asked_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        indexes = [models.Index(fields=["budget", "-priority", "id"], name="budget_wait_queue")]

    def __str__(self) -> str:
        return f"{self.mission_id} {self.path}"
