"""What people add to a decision beside their votes: comments, looks, and votes taken back. All are append-only."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from approvals.models.decision import Decision, Vote
from missions.models.fields import CurrentTransaction, DatabaseNow


class Comment(models.Model):
    """A remark in a decision's thread; written by a person, or by an agent in a person's name."""

    decision = models.ForeignKey(Decision, models.PROTECT, related_name="comments")
    tx = models.BigIntegerField(db_default=CurrentTransaction())
    mission_id = models.BigIntegerField(null=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    agent = models.CharField(max_length=100, blank=True, help_text="The agent that wrote it; empty for a person.")
    text = models.TextField()
    key = models.CharField(max_length=200, null=True, help_text="The writer's own key: the same again is no new one.")  # noqa: DJ001
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["decision", "author", "key"], name="comment_once")]
        indexes = [models.Index(fields=["decision", "id"], name="comment_thread")]

    def __str__(self) -> str:
        return f"{self.agent or self.author}: {self.text[:60]}"


class Seen(models.TextChoices):
    """What somebody looked at."""

    DECISION = "decision", "Decision"  # its page
    EVIDENCE = "evidence", "Evidence"  # one piece of it


class Look(models.Model):
    """Somebody's first look at what is asked, or at one piece of its evidence."""

    decision = models.ForeignKey(Decision, models.PROTECT, related_name="looks")
    tx = models.BigIntegerField(db_default=CurrentTransaction())
    mission_id = models.BigIntegerField(null=True)
    viewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    what = models.CharField(max_length=10, choices=Seen)
    item = models.PositiveSmallIntegerField(default=0, help_text="The place of the evidence in the list, from 1.")
    digest = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["decision", "viewer", "digest", "what", "item"], name="look_once")
        ]

    def __str__(self) -> str:
        return f"{self.viewer} {self.what} {self.item}"


class Retraction(models.Model):
    """A vote taken back while its approval was held; the vote itself stays as it was cast."""

    vote = models.OneToOneField(Vote, models.PROTECT, related_name="retraction")
    tx = models.BigIntegerField(db_default=CurrentTransaction())
    mission_id = models.BigIntegerField(null=True)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        indexes = [
            models.Index(fields=["mission_id", "tx"], name="retraction_mission"),
            models.Index(fields=["tx"], name="retraction_tx"),
        ]

    def __str__(self) -> str:
        return f"{self.vote} taken back"
