"""The journal: a mission's append-only, hash-chained history, and the store for payloads too large for a row."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from missions.models.fields import CurrentTransaction, DatabaseNow


class Kind(models.TextChoices):
    """What an entry tells. Those in `RESTORING` hold a result that replay restores from."""

    STARTED = "started", "Started"  # type, version, title and input; written by `start`
    STEP = "step", "Step"  # a step's result
    STEP_FAILED = "step_failed", "Step failed"  # a step's error, final after its retries
    NOW = "now", "Clock read"  # a recorded time
    OBSERVED = "observed", "Observation"  # a sentence for people
    DECIDED = "decided", "Decided"  # a decision inside the mission: proposal, confidence, findings
    RULING = "ruling", "Ruling"  # what policy said of an intent
    ASKED = "asked", "Asked"  # a decision was opened; the mission waits for it
    ANSWERED = "answered", "Answered"  # the decision's answer was taken
    INTENT = "intent", "Intent"  # an effect is about to happen: key, args digest, deadline
    DOUBT = "doubt", "In doubt"  # no definite outcome is known
    PROBED = "probed", "Probed"  # what a probe found
    BACKOFF = "backoff", "Backing off"  # tried again at a time
    RETRY = "retry", "Retry"  # a call is about to be made again, and why that is safe
    OUTCOME = "outcome", "Outcome"  # how an effect or a read ended: done, refused or failed
    SLEEP = "sleep", "Sleep"  # waits until a time
    SLEPT = "slept", "Slept"  # the time has come
    AWAIT = "await", "Await"  # waits for a signal
    SIGNAL = "signal", "Signal"  # a signal was taken from the mailbox, or its wait timed out
    COMPLETED = "completed", "Completed"  # the verdict
    FAILED = "failed", "Failed"  # the error that ended it
    CANCELLED = "cancelled", "Cancelled"  # a person ended it
    PAUSED = "paused", "Paused"  # stopped by a person, or it needs attention, and why
    RESUMED = "resumed", "Resumed"  # it goes on after a pause
    CONTROL = "control", "Control"  # a person's control was taken: verb, reason, who
    TIMELINE = "timeline", "Timeline"  # a new timeline opens: the entries after `to_seq` are left behind
    CHAPTER = "chapter", "Chapter"  # a new chapter: its state supersedes all before for replay
    WON = "won", "Won"  # which of several branches came first; the others are cut off
    SPAWNED = "spawned", "Spawned"  # a child mission was started
    PATCHED = "patched", "Patched"  # whether the code runs with a patch
    UPGRADED = "upgraded", "Upgraded"  # a later version of the type goes on with it
    SPENT = "spent", "Spent"  # what something has cost: money, tokens
    ARTIFACT = "artifact", "Artifact"  # a file was kept: name, size, digest
    AGENT = "agent", "Agent"  # under which version of its identity an agent works from here on
    LLM = "llm", "LLM"  # what an LLM answered: message, usage, cost, who answered
    SWITCHED = "switched", "Switched"  # another provider answers from here on, and why


RESTORING = (Kind.STEP, Kind.ANSWERED, Kind.OUTCOME, Kind.SLEPT, Kind.SIGNAL, Kind.NOW)


class Entry(models.Model):
    """One record of a mission's history. Append-only by trigger; no foreign key, and rows of rulings alone are indexed
    a second time."""

    pk = models.CompositePrimaryKey("mission_id", "seq")
    mission_id = models.BigIntegerField()
    seq = models.IntegerField()
    tx = models.BigIntegerField(db_default=CurrentTransaction())
    timeline = models.IntegerField()
    kind = models.CharField(max_length=12, choices=Kind)
    path = models.CharField(max_length=500, help_text="The key of the call that wrote it: path/name#occurrence.")
    input_hash = models.BinaryField()
    payload = models.BinaryField(null=True, help_text="Canonical JSON; null where it lies in the payload store.")
    stored = models.BinaryField(null=True, help_text="sha256 of the body in the payload store, where it lies there.")
    salt = models.BinaryField(null=True)
    digest = models.BinaryField(help_text="sha256(salt ‖ payload).")
    chain = models.BinaryField(help_text="The link: see `missions.engine.chain`.")
    attempt = models.IntegerField()
    recorded_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        db_table = "missions_journal"
        indexes = [
            BrinIndex(fields=["tx"], name="journal_tx", pages_per_range=16, autosummarize=True),
            # Past rulings in their order: what a policy is replayed on. Other entries pay nothing for it.
            models.Index(
                fields=["recorded_at", "mission_id", "seq"], name="journal_rulings", condition=models.Q(kind="ruling"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mission_id}:{self.seq} {self.kind} {self.path}"


class CheckpointManager(models.Manager["Checkpoint"]):
    """Entries that hold a result."""

    def get_queryset(self) -> models.QuerySet[Checkpoint]:
        return super().get_queryset().filter(kind__in=RESTORING)


class Checkpoint(Entry):
    """An entry that replay restores from."""

    objects: ClassVar[Any] = CheckpointManager()

    class Meta:
        proxy = True


class Payload(models.Model):
    """A payload over the inline limit, addressed by sha256 of its bytes; written before the entry that names it."""

    digest = models.BinaryField(primary_key=True)
    body = models.BinaryField()
    stored_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return bytes(self.digest).hex()[:16]
