"""What the watches found last, which missions do not move, what happened day by day, and what agents spent."""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow

AGENT_CHARACTERS, MEMBER_CHARACTERS = 100, 200


class Check(models.Model):
    """The latest finding of one watch, such as `worker-heartbeat` or `rail-gap`."""

    name = models.CharField(max_length=100, primary_key=True)
    ok = models.BooleanField()
    detail = models.TextField(blank=True)
    position = models.BigIntegerField(default=0, help_text="From where a reading watch goes on: a transaction, a day.")
    checked_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return f"{self.name}: {'ok' if self.ok else self.detail}"


class Stuck(models.Model):
    """Something that should move and does not; gone when it moves again. `subject` is a mission's uid or an alarm."""

    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=200)
    mission = models.UUIDField(null=True)
    detail = models.TextField()
    found_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "subject"], name="stuck_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.detail}"


class Daily(models.Model):
    """What happened to one mission type on one closed day (UTC); computed once, and kept when the missions leave."""

    day = models.DateField()
    type = models.CharField(max_length=100)
    started = models.IntegerField(default=0)
    completed = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    verdicts = models.JSONField(default=dict, help_text="How many completed with which verdict.")
    median_seconds = models.FloatField(null=True, help_text="From start to end, of those that ended on the day.")
    p95_seconds = models.FloatField(null=True)
    decisions = models.IntegerField(default=0, help_text="Settled on the day.")
    people_seconds = models.FloatField(default=0, help_text="How long these decisions were open, in sum.")
    effects_done = models.IntegerField(default=0, help_text="Of those that ended on the day.")
    effects_in_doubt = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "type"], name="daily_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.type}"


class Spend(models.Model):
    """What the LLM `member` took for a version of an agent on one day (UTC); kept when the missions leave."""

    day = models.DateField()
    agent = models.CharField(max_length=AGENT_CHARACTERS, blank=True, help_text="Empty: missions asked by themselves.")
    version = models.IntegerField()
    member = models.CharField(max_length=MEMBER_CHARACTERS, blank=True, help_text="PROVIDER/MODEL; empty: none.")
    currency = models.CharField(max_length=10, blank=True)
    turns = models.BigIntegerField(default=0, help_text="Those that failed included.")
    failed = models.BigIntegerField(default=0, help_text="Turns that brought no answer.")
    unpriced = models.BigIntegerField(default=0, help_text="Answers whose price nobody knew; not in the cost.")
    tokens_in = models.BigIntegerField(default=0)
    tokens_out = models.BigIntegerField(default=0)
    cost = models.DecimalField(max_digits=38, decimal_places=12, default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "day", "version", "member", "currency"], name="spend_once"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.agent} v{self.version}: {self.cost} {self.currency}"
