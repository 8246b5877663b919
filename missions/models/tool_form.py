"""How servers offer their tools: which form is accepted, which waits for people; and how servers were last found."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from missions.models.fields import DatabaseNow


class FormState(models.TextChoices):
    """What holds of one form of a tool."""

    ACCEPTED = "accepted", "Accepted"  # its calls go through
    WAITING = "waiting", "Waits for people"  # it differs from what was accepted: calls wait
    REFUSED = "refused", "Kept blocked"  # people said no: calls are refused
    REPLACED = "replaced", "Replaced"  # another form was accepted in its place


class ToolForm(models.Model):
    """A form in which a server offered a tool: schemas, annotations, title and description.

    The first that is seen is accepted, by nobody; from then on people say. At most one waits for them: what a server
    makes up meanwhile is asked about afterwards.
    """

    tool = models.CharField(max_length=200, help_text="The name under which missions call it.")
    server = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)
    form = models.JSONField()
    state = models.CharField(max_length=10, choices=FormState)
    seen_at = models.DateTimeField(db_default=DatabaseNow())
    asked = models.IntegerField(default=0, help_text="How often people were asked about it.")
    decided_by = models.CharField(max_length=200, blank=True, help_text="Empty: nobody, it was seen first.")
    decided_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tool", "digest"], name="tool_form_once"),
            models.UniqueConstraint(fields=["tool"], name="tool_form_accepted", condition=Q(state="accepted")),
            models.UniqueConstraint(fields=["tool"], name="tool_form_waiting", condition=Q(state="waiting")),
        ]

    def __str__(self) -> str:
        return f"{self.tool} {self.digest[:8]} {self.state}"


class FormWait(models.Model):
    """A mission with a call that waits for what people say of a form; it is told."""

    form = models.ForeignKey(ToolForm, models.CASCADE, related_name="waits")
    mission_id = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["form", "mission_id"], name="form_wait_once")]

    def __str__(self) -> str:
        return f"{self.form_id} {self.mission_id}"


class ToolServer(models.Model):
    """How an MCP server was last found, by whichever worker asked it."""

    name = models.CharField(primary_key=True, max_length=100)
    reached_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True, help_text="Null once it was reached again.")
    error = models.TextField(blank=True)
    tools = models.IntegerField(default=0, help_text="How many it offered when it was last reached.")

    def __str__(self) -> str:
        return self.name


class ServerVersion(models.Model):
    """What people registered of an MCP server, or that they took it away; append-only. The newest of a name counts."""

    name = models.CharField(max_length=100)
    number = models.PositiveIntegerField()
    document = models.JSONField(null=True, help_text="Null: the server was taken away.")
    by = models.CharField(max_length=200)
    via = models.CharField(max_length=20, help_text="api or console.")
    reason = models.TextField(blank=True)
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "number"], name="server_version_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.number}"
