"""The shapes of the REST API that steers missions."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from missions.control.bulk import VERBS
from missions.control.preview import Fate
from missions.engine.controls import REASON_LENGTH
from missions.models import State
from missions.web.serializers import Body, Text, Whole

GUIDANCE_LENGTH = 10_000


class Flag(serializers.BooleanField):
    """true or false, and no text that reads like one."""

    def to_internal_value(self, data: Any) -> bool:
        """Raises for anything but true and false."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class ControlBody(Body):
    """Why a mission is steered."""

    reason = Text(max_length=REASON_LENGTH, required=False, allow_blank=True, default="")
    key = Text(max_length=150, required=False, allow_null=True, default=None)


class CancelBody(ControlBody):
    """Why a mission is cancelled, and whether what it did is undone first."""

    compensate = Flag(required=False, default=False)


class RollbackBody(ControlBody):
    """Where to go back to."""

    reason = Text(max_length=REASON_LENGTH)
    to = Whole(min_value=1, max_value=2**31 - 1, help_text="The last entry to keep.")
    guidance = Text(max_length=GUIDANCE_LENGTH, required=False, allow_blank=True, default="")
    preview_digest = Text(max_length=64, help_text="Of the preview that was read.")


class ControlReceipt(serializers.Serializer[Any]):
    """A control that lies in the mailbox."""

    mission = serializers.UUIDField()
    verb = serializers.CharField()
    seq = serializers.IntegerField(help_text="Its place in the mailbox; entries under `control#SEQ/` tell of it.")


class UndoneEffectShape(serializers.Serializer[Any]):
    """An effect after the point."""

    id = serializers.UUIDField()
    seq = serializers.IntegerField()
    tool = serializers.CharField()
    sentence = serializers.CharField()
    state = serializers.CharField()
    fate = serializers.ChoiceField([str(fate) for fate in Fate])
    undo = serializers.CharField(help_text="The tool that undoes it; empty where none does.")


class LeftChildShape(serializers.Serializer[Any]):
    """A mission that was started after the point and still runs."""

    uid = serializers.UUIDField()
    title = serializers.CharField()
    state = serializers.ChoiceField(State.choices)


class PreviewShape(serializers.Serializer[Any]):
    """What a rollback would keep and undo."""

    to = serializers.IntegerField(source="point.seq", help_text="The last entry that is kept.")
    asked = serializers.IntegerField(source="asked_seq")
    chapter = serializers.IntegerField(source="point.chapter")
    kept = serializers.IntegerField(help_text="Entries that stay.")
    undone = serializers.IntegerField(help_text="Entries that are left behind; they stay readable.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Effects by fate.")
    effects = UndoneEffectShape(many=True)
    decisions = serializers.ListField(child=serializers.CharField(), help_text="Open decisions that are withdrawn.")
    children = LeftChildShape(many=True, help_text="Missions that it started and that are cancelled, undoing theirs.")
    digest = serializers.CharField()


class ForkBody(Body):
    """Where to fork."""

    at = Whole(min_value=1, max_value=2**31 - 1)
    title = Text(max_length=200, required=False, allow_blank=True, default="")
    effects = serializers.ChoiceField(["off", "on"], required=False, default="off")


class RecordedCall(serializers.Serializer[Any]):
    """The entry that the record holds next."""

    seq = serializers.IntegerField()
    kind = serializers.CharField()
    path = serializers.CharField()
    inputs = serializers.DictField(help_text="As far as the record tells of them.")


class CalledCall(serializers.Serializer[Any]):
    """What the code calls there."""

    path = serializers.CharField()
    inputs = serializers.DictField()


class InputDifference(serializers.Serializer[Any]):
    """One place at which the inputs of the call differ."""

    at = serializers.CharField(help_text="As in args.amount.")
    recorded = serializers.JSONField(allow_null=True)
    called = serializers.JSONField(allow_null=True)


class DiffersShape(serializers.Serializer[Any]):
    """The record and the code side by side."""

    recorded = RecordedCall(allow_null=True)
    called = CalledCall(many=True)
    differences = InputDifference(many=True)


class ReplayShape(serializers.Serializer[Any]):
    """What a replay found."""

    ok = serializers.BooleanField(allow_null=True, help_text="null: this server has no code for its type and version.")
    version = serializers.IntegerField()
    entries = serializers.IntegerField(help_text="How far the code follows the record.")
    detail = serializers.CharField(allow_blank=True)
    differs = DiffersShape(allow_null=True, required=False, help_text="Where it differs, side by side.")


class MissionFilter(Body):
    """Which missions; at least one condition."""

    state = serializers.ChoiceField(list(State.values), required=False)
    type = Text(max_length=100, required=False)
    waiting_on = Text(max_length=200, required=False)
    q = Text(max_length=200, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Raises where no condition is given: all missions are too many to be meant."""
        if not attrs:
            raise serializers.ValidationError("Give at least one condition.")
        return attrs


class BulkBody(ControlBody):
    """One control for many missions."""

    filter = MissionFilter()
    verb = serializers.ChoiceField(VERBS)
    compensate = Flag(required=False, default=False)


class BulkRow(serializers.Serializer[Any]):
    """What came of it for one mission."""

    mission = serializers.UUIDField()
    taken = serializers.BooleanField()
    why = serializers.CharField(help_text="Why not.")


class BulkResult(serializers.Serializer[Any]):
    """What came of it."""

    taken = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = BulkRow(many=True)
