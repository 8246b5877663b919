"""The shapes of a mission's record in the REST API: entries, checkpoints, timelines, effects, verification."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from missions.engine import history
from missions.web.summaries import summary


class EntrySerializer(serializers.Serializer[Any]):
    """A journal entry."""

    seq = serializers.IntegerField()
    timeline = serializers.IntegerField()
    kind = serializers.CharField()
    path = serializers.CharField()
    summary = serializers.SerializerMethodField()
    payload = serializers.DictField()
    hash = serializers.CharField(source="chain", help_text="The entry's link in the mission's hash chain, in hex.")
    digest = serializers.CharField(help_text="sha256 over salt and payload, in hex.")
    attempt = serializers.IntegerField()
    recorded_at = serializers.DateTimeField()

    def get_summary(self, entry: history.HistoryEntry) -> str:
        """One line in plain words."""
        return summary(entry.kind, entry.payload)


class CheckpointSerializer(serializers.Serializer[Any]):
    """An entry that replay restores from, without its result."""

    seq = serializers.IntegerField()
    timeline = serializers.IntegerField()
    kind = serializers.CharField()
    path = serializers.CharField()
    summary = serializers.SerializerMethodField()
    hash = serializers.CharField(source="chain")
    recorded_at = serializers.DateTimeField()

    def get_summary(self, entry: history.HistoryEntry) -> str:
        """One line in plain words."""
        return summary(entry.kind, entry.payload)


class OpenedShape(serializers.Serializer[Any]):
    """How a timeline was opened."""

    parent_timeline = serializers.IntegerField(source="parent")
    to_seq = serializers.IntegerField(help_text="The last entry of its parent that it keeps.")
    verb = serializers.CharField(help_text="rollback, retry, accept or fork.")
    reason = serializers.CharField()
    guidance = serializers.CharField()
    opened_by = serializers.CharField()
    opened_at = serializers.DateTimeField()


class TimelineSerializer(serializers.Serializer[Any]):
    """One branch of a mission's journal."""

    timeline = serializers.IntegerField()
    from_seq = serializers.IntegerField()
    to_seq = serializers.IntegerField()
    entries = serializers.IntegerField()
    current = serializers.BooleanField()
    opened = OpenedShape(allow_null=True, help_text="null: the first timeline.")


class UndoShape(serializers.Serializer[Any]):
    """Whether and how an effect can be undone."""

    possible = serializers.BooleanField()
    tool = serializers.CharField(allow_null=True)


class EffectSerializer(serializers.Serializer[Any]):
    """An effect: its intent, what is known of it, and its outcome."""

    id = serializers.UUIDField()
    mission = serializers.UUIDField()
    seq = serializers.IntegerField()
    path = serializers.CharField()
    tool = serializers.CharField()
    args = serializers.DictField()
    effect_class = serializers.CharField()
    retry_safety = serializers.CharField()
    key = serializers.CharField()
    state = serializers.CharField()
    deadline_at = serializers.DateTimeField()
    outcome = serializers.DictField(allow_null=True)
    undo = UndoShape()


class VerificationSerializer(serializers.Serializer[Any]):
    """What recomputing a mission's chain found."""

    ok = serializers.BooleanField()
    entries = serializers.IntegerField(help_text="How many links hold.")
    broken_at = serializers.IntegerField(allow_null=True, help_text="The first seq whose link does not hold.")
    reason = serializers.CharField()
