"""Agents: identities with immutable versions, what was put in force when and by whom, and who works under which one."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from missions.models.fields import DatabaseNow


class MemoryScope(models.TextChoices):
    """Whose memory an agent draws on."""

    MISSION = "mission", "The mission's own"  # nothing from outside it
    AGENT = "agent", "The agent's"  # what it learned in other missions, too
    ORGANISATION = "organisation", "The organisation's"  # what everybody may draw on, too


class Isolation(models.TextChoices):
    """In what an agent's tools run."""

    NONE = "", "As its tools and its data demand"  # `missions.agents.isolation` says which do
    SANDBOX = "sandbox", "Sandbox, whatever they demand"  # not put in force without a sandbox that works


class Agent(models.Model):
    """An agent by its name. What it is stands in its versions; `active` is the one that is in force."""

    name = models.SlugField(max_length=100, unique=True)
    active = models.ForeignKey("AgentVersion", models.PROTECT, null=True, related_name="+")
    retired_at = models.DateTimeField(null=True, help_text="Since when none is in force, until one is activated again.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return self.name

    @property
    def title(self) -> str:
        """What people call it; its name where no version is in force."""
        return self.active.title if self.active is not None else self.name


class AgentVersion(models.Model):
    """What an agent is at one time. Never changed and never deleted (trigger)."""

    agent = models.ForeignKey(Agent, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    instructions = models.TextField()
    llm = models.JSONField(default=list, help_text="PROVIDER/MODEL, the first first; empty: LLM_CHAIN.")
    tools = models.JSONField(default=list, help_text="Names or globs of tools; agent:NAME for another agent.")
    data_classes = models.JSONField(default=list, help_text="What it is cleared for, within its mission's clearance.")
    budget = models.JSONField(default=dict, help_text="turns, tokens, cost: of one call of the agent.")
    memory_scope = models.CharField(max_length=12, choices=MemoryScope, default=MemoryScope.MISSION)
    egress = models.JSONField(default=list, help_text="HOST:PORT that what runs in isolation may reach.")
    isolation = models.CharField(max_length=10, choices=Isolation, default=Isolation.NONE, blank=True)
    digest = models.CharField(max_length=64, help_text="sha256 over the canonical form of all of the above.")
    warnings = models.JSONField(default=list, help_text="What was odd about it when it was saved: field, message.")
    base = models.ForeignKey("self", models.PROTECT, null=True, related_name="+", help_text="What it was edited from.")
    note = models.TextField(blank=True, help_text="Why it was made.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_via = models.CharField(max_length=20, blank=True, help_text="console, api, demo")
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "number"], name="agent_version_number")]

    def __str__(self) -> str:
        return f"{self.agent.name} v{self.number}"

    @property
    def made_by(self) -> str:
        """Who made it; empty where no person did."""
        return self.created_by.get_username() if self.created_by is not None else ""


class Activation(models.Model):
    """That another version of an agent came in force, or none; append-only by trigger."""

    class What(models.TextChoices):
        """What was done."""

        ACTIVATED = "activated", "Activated"  # a version that was not in force before, or again after a retirement
        ROLLED_BACK = "rolled_back", "Rolled back"  # an older one that had been in force
        RETIRED = "retired", "Retired"  # none is in force any more

    agent = models.ForeignKey(Agent, models.PROTECT, related_name="activations")
    what = models.CharField(max_length=12, choices=What)
    version = models.ForeignKey(AgentVersion, models.PROTECT, null=True, related_name="activations")
    previous = models.ForeignKey(AgentVersion, models.PROTECT, null=True, related_name="+")
    by = models.CharField(max_length=150, blank=True, help_text="The person's name, as it was then.")
    via = models.CharField(max_length=20, blank=True, help_text="console, api, demo")
    why = models.TextField(blank=True)
    isolation = models.JSONField(default=dict, help_text="What it demanded, and the self-test that showed it.")
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        indexes = [models.Index(fields=["agent", "-id"], name="activation_history")]

    def __str__(self) -> str:
        return f"{self.agent.name} {self.what}"


class Engagement(models.Model):
    """From which entry on a mission's agent works under which version. Mirrors the `agent` entries; append-only."""

    pk = models.CompositePrimaryKey("mission_id", "seq")
    mission_id = models.BigIntegerField()
    seq = models.IntegerField(help_text="The `agent` entry.")
    agent = models.CharField(max_length=100)
    version = models.PositiveIntegerField()
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        indexes = [models.Index(fields=["agent", "-mission_id", "-seq"], name="engagement_of_agent")]

    def __str__(self) -> str:
        return f"{self.mission_id}:{self.seq} {self.agent} v{self.version}"


class Goal(models.Model):
    """What a mission's goal became by an amendment. Version 1 is what it was started with and has no row."""

    mission_id = models.BigIntegerField()
    version = models.PositiveIntegerField(help_text="From 2, without a gap.")
    text = models.TextField()
    reason = models.TextField(blank=True)
    by = models.CharField(max_length=200)
    at = models.DateTimeField(db_default=DatabaseNow())
    key = models.CharField(max_length=64, unique=True, help_text="Of the call that wrote it: a repeat writes nothing.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mission_id", "version"], name="goal_version")]

    def __str__(self) -> str:
        return f"{self.mission_id} v{self.version}"
