"""Limits on types, tools and agents, the permits that missions hold under them, and the circuit of each tool.

A permit belongs to a mission and a key path, so it survives a takeover. Rows here are short-lived and few: nothing is
written where nothing is limited and every tool answers.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from missions.models.fields import DatabaseNow


class Scope(models.TextChoices):
    """What a limit counts."""

    TYPE = "type", "Mission type"  # missions of it in memory
    TOOL = "tool", "Tool"  # calls of it under way
    AGENT = "agent", "Agent"  # calls under way in its name


class Limit(models.Model):
    """How much of something may go on at once, or in a time, over all workers."""

    scope = models.CharField(max_length=8, choices=Scope)
    name = models.CharField(max_length=200, help_text="Exact, or `*` for all of the scope together.")
    concurrency = models.PositiveIntegerField(null=True)
    rate_count = models.PositiveIntegerField(null=True, help_text="So many calls …")
    rate_seconds = models.FloatField(null=True, help_text="… in so many seconds.")
    escalate_after_seconds = models.FloatField(null=True, help_text="People are told of a wait longer than this.")
    tokens = models.FloatField(default=0, help_text="Calls left in the bucket as of `refilled_at`.")
    refilled_at = models.DateTimeField(db_default=DatabaseNow())
    changed_by = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "name"], name="limit_once"),
            models.CheckConstraint(
                name="limit_limits", condition=Q(concurrency__isnull=False) | Q(rate_count__isnull=False)
            ),
            models.CheckConstraint(
                name="limit_rate_whole", condition=Q(rate_count=None, rate_seconds=None)
                | Q(rate_count__gte=1, rate_seconds__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope}:{self.name}"


class Permit(models.Model):
    """A call that is under way under a limit, or waits its turn. One a mission and path; deleted when given back."""

    mission_id = models.BigIntegerField()
    path = models.CharField(max_length=500)
    attempt = models.IntegerField(help_text="The attempt that asked for it last.")
    tool = models.CharField(max_length=200)
    limits = ArrayField(models.BigIntegerField(), help_text="All of them must have room.")
    priority = models.SmallIntegerField(default=0)
    asked_at = models.DateTimeField(db_default=DatabaseNow())
    granted_at = models.DateTimeField(null=True)
    taken = models.BooleanField(default=False, help_text="Whether the mission knows of the grant.")
    suspect_at = models.DateTimeField(null=True, help_text="Since when nobody seems to use it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mission_id", "path"], name="permit_once")]
        indexes = [
            models.Index(fields=["-priority", "id"], name="permit_queue", condition=Q(granted_at=None)),
            models.Index(fields=["tool"], name="permit_held", condition=Q(granted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.mission_id} {self.path}"


class CircuitState(models.TextChoices):
    """Whether a tool's calls go through."""

    CLOSED = "closed", "Closed"  # calls go through
    OPEN = "open", "Open"  # calls wait until the probe time
    HALF_OPEN = "half_open", "Half open"  # one call probes, the others wait


class Circuit(models.Model):
    """A tool that lately gave no answer; tools without a row are closed."""

    tool = models.CharField(primary_key=True, max_length=200)
    state = models.CharField(max_length=10, choices=CircuitState, default=CircuitState.CLOSED)
    failures = models.IntegerField(default=0, help_text="In a row, over all workers.")
    failed_at = models.DateTimeField(null=True)
    since = models.DateTimeField(null=True, help_text="When it opened or closed last.")
    open_seconds = models.FloatField(default=0)
    probe_at = models.DateTimeField(null=True, help_text="Null while open: until a person closes it.")
    probe = models.BigIntegerField(null=True, help_text="The permit whose call probes.")
    reason = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.tool} {self.state}"


class CircuitChange(models.Model):
    """A circuit opened or closed: when, why, and by whom where it was a person. Append-only."""

    tool = models.CharField(max_length=200, db_index=True)
    state = models.CharField(max_length=10, choices=CircuitState)
    reason = models.TextField(blank=True)
    changed_by = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return f"{self.tool} {self.state}"
