"""How missions hang together: which one started which, and which one waits for which.

A row is written in the transaction that starts the younger mission; the record of a child is its parent's journal.
"""

from __future__ import annotations

from django.db import models

from missions.models.fields import DatabaseNow


class OnParentEnd(models.TextChoices):
    """What becomes of a child that still runs when its parent ends."""

    KEEP = "keep", "Keep"  # it goes on by itself
    CANCEL = "cancel", "Cancel"  # it is asked to cancel


class Child(models.Model):
    """A mission that another one started; `path` is the call that did."""

    child_id = models.BigIntegerField(primary_key=True)
    parent_id = models.BigIntegerField(db_index=True)
    timeline = models.IntegerField(help_text="The parent's timeline at the time.")
    chapter = models.IntegerField(help_text="The parent's chapter at the time.")
    path = models.CharField(max_length=500)
    on_parent_end = models.CharField(max_length=6, choices=OnParentEnd, default=OnParentEnd.KEEP)

    def __str__(self) -> str:
        return f"{self.child_id} of {self.parent_id}"


class SharedChild(models.Model):
    """A child of the mission that a fork came from: the fork is told of its end and may read it."""

    mission_id = models.BigIntegerField()
    child_id = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["child_id", "mission_id"], name="shared_child_once")]
        indexes = [models.Index(fields=["mission_id"], name="shared_child_heir")]

    def __str__(self) -> str:
        return f"{self.child_id} for {self.mission_id}"


class OnFailure(models.TextChoices):
    """What a mission does when one that it waits for did not do its work: failed, was cancelled, or was refused."""

    FAIL = "fail", "Cancel it too"  # it ends as cancelled, without having run
    START = "start", "Start all the same"  # it goes on as if nothing had happened
    HOLD = "hold", "Hold it for a person"  # it is paused as needing attention


class Dependency(models.Model):
    """A mission starts only after another one has ended."""

    mission_id = models.BigIntegerField()
    on_mission_id = models.BigIntegerField()
    policy = models.CharField(max_length=5, choices=OnFailure, default=OnFailure.FAIL)
    met_at = models.DateTimeField(null=True, help_text="When the other one ended; null while it is awaited.")
    ended_as = models.CharField(max_length=12, blank=True, help_text="completed, refused, failed, cancelled, exported")
    made_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mission_id", "on_mission_id"], name="dependency_once")]
        indexes = [models.Index(fields=["on_mission_id"], name="dependency_awaited")]

    def __str__(self) -> str:
        return f"{self.mission_id} after {self.on_mission_id}"
