"""Workers, what they took over, and the alarms that they ring."""

from __future__ import annotations

from django.db import models

from missions.models.fields import CurrentTransaction, DatabaseNow


class Worker(models.Model):
    """One incarnation of a worker process. Its id is also the advisory lock that proves its life."""

    id = models.BigIntegerField(primary_key=True)
    host = models.CharField(max_length=200)
    boot_id = models.CharField(max_length=64)
    pid = models.IntegerField()
    pid_started = models.BigIntegerField(help_text="Clock ticks since boot: a pid alone may be reused.")
    backend_pid = models.IntegerField(help_text="The database session of its lane.")
    started_at = models.DateTimeField(db_default=DatabaseNow())
    heartbeat_at = models.DateTimeField(db_default=DatabaseNow())
    dead_at = models.DateTimeField(null=True)
    survived = models.BooleanField(db_default=False, help_text="Its process lives on under a later id.")

    class Meta:
        indexes = [models.Index(fields=["id"], name="worker_alive", condition=models.Q(dead_at=None))]

    def __str__(self) -> str:
        return f"worker {self.id:x} (pid {self.pid} on {self.host})"


class Takeover(models.Model):
    """A mission was freed because its owner died; append-only, written in the transaction that frees it."""

    mission_id = models.BigIntegerField(db_index=True)
    tx = models.BigIntegerField(db_default=CurrentTransaction())
    attempt = models.IntegerField(help_text="The attempt that was cut off.")
    lost_worker = models.BigIntegerField()
    freed_by = models.BigIntegerField()
    freed_at = models.DateTimeField(db_default=DatabaseNow())
    strike = models.BooleanField(db_default=False, help_text="Whether it counts against the mission.")

    def __str__(self) -> str:
        return f"{self.mission_id} freed from {self.lost_worker:x}"


class Alarm(models.Model):
    """Something to do at a nominal time, once; workers ring it on the database clock."""

    what = models.CharField(max_length=200, help_text="HANDLER:SUBJECT, as in `decision.expire:ID`.")
    nominal_at = models.DateTimeField()
    rung_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["what", "nominal_at"], name="alarm_once")]
        indexes = [models.Index(fields=["nominal_at"], name="alarm_due", condition=models.Q(rung_at=None))]

    def __str__(self) -> str:
        return f"{self.what} at {self.nominal_at:%Y-%m-%d %H:%M:%S}"
