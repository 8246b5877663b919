"""The shapes of trying and replaying in the REST API. Bodies are strict, as everywhere in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from approvals.models import Change
from approvals.simulation.windows import MOST
from missions.web.serializers import Body, Moment, Text, Whole


class IntentBody(Body):
    """An action, as somebody imagines it."""

    tool = Text(max_length=200)
    args = serializers.DictField(default=dict)
    mission = serializers.UUIDField(required=False, allow_null=True, default=None, help_text="In whose name.")
    mission_type = Text(max_length=100, required=False, allow_blank=True, default="", help_text="Without a mission.")
    agent = Text(max_length=200, required=False, allow_blank=True, default="")
    data = Text(max_length=200, required=False, allow_blank=True, default="")  # type: ignore[assignment]  # a data class


class PastBody(Body):
    """An action that was ruled on before: an entry of a mission's journal, of the kind ruling."""

    mission = serializers.UUIDField()
    seq = Whole(min_value=1, max_value=2**31 - 1)


class TryBody(Body):
    """`intent`, or `past`; without `version` what is in force is tried."""

    intent = IntentBody(required=False)
    past = PastBody(required=False)
    version = Whole(required=False, allow_null=True, default=None, min_value=1, max_value=2**31 - 1)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two."""
        if ("intent" in attrs) == ("past" in attrs):
            raise serializers.ValidationError({"intent": ["Give an intent, or a past entry, and not both."]})
        return attrs


class WindowBody(Body):
    """Which part of history; without anything, the last 10,000 rulings."""

    since = Moment(required=False, help_text="Sent as `from`.")
    until = Moment(required=False)
    last = Whole(required=False, min_value=1, max_value=MOST)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's."""
        fields = super().get_fields()
        return {"from" if name == "since" else name: field for name, field in fields.items()}


class SimulateBody(Body):
    """A replay."""

    version = Whole(min_value=1, max_value=2**31 - 1)
    window = WindowBody(required=False)
    mission_type = Text(max_length=100, required=False, allow_blank=True, default="")


class RulingShape(serializers.Serializer[Any]):
    """A ruling; `trace` has each rule in scope with its state, whether it fired, its error or its failing part."""

    outcome = serializers.ChoiceField(choices=["allow", "deny", "escalate"])
    reason = serializers.CharField()
    policy_version = serializers.CharField(allow_blank=True)
    rules = serializers.ListField(child=serializers.CharField())
    tiers = serializers.ListField(child=serializers.DictField())
    trace = serializers.ListField(child=serializers.DictField())


class TrialShape(serializers.Serializer[Any]):
    """What would be said of an action."""

    ruling = RulingShape()
    candidate = serializers.CharField(allow_blank=True, help_text="The version that was tried, if one was.")
    evaluated = serializers.ListField(child=serializers.CharField())
    out_of_scope = serializers.ListField(child=serializers.DictField())
    in_force = RulingShape(allow_null=True)
    intent = serializers.DictField()
    tool_known = serializers.BooleanField()
    at = serializers.DateTimeField()


class ReplayReceipt(serializers.Serializer[Any]):
    """A replay that was started."""

    mission = serializers.UUIDField()
    result = serializers.CharField(help_text="Where its state and its findings are.")
    page = serializers.CharField()


class PolicyReplayShape(serializers.Serializer[Any]):
    """A replay. `summary` and `loosens` are null until it is finished."""

    id = serializers.UUIDField()
    mission = serializers.UUIDField()
    policy = serializers.CharField()
    version = serializers.IntegerField()
    window = serializers.DictField()
    mission_type = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(choices=["waiting", "running", "paused", "finished", "failed", "cancelled"])
    error = serializers.CharField(allow_blank=True)
    total = serializers.IntegerField(allow_null=True)
    done = serializers.IntegerField()
    differing = serializers.IntegerField()
    loosens = serializers.BooleanField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    summary = serializers.DictField(allow_null=True)
    findings = serializers.ListField(child=serializers.CharField())
    started_by = serializers.CharField(allow_null=True)


class DifferenceShape(serializers.Serializer[Any]):
    """One action on which the replay ruled otherwise."""

    change = serializers.ChoiceField(choices=Change.choices)
    was = serializers.CharField()
    would = serializers.CharField()
    at = serializers.DateTimeField()
    mission = serializers.UUIDField()
    seq = serializers.IntegerField()
    mission_type = serializers.CharField()
    tool = serializers.CharField()
    agent = serializers.CharField(allow_blank=True)
    was_version = serializers.CharField(allow_blank=True)
    decided = serializers.CharField(allow_null=True)
    undone = serializers.BooleanField()
    looser = serializers.BooleanField()
    rules = serializers.ListField(child=serializers.CharField())
    tiers = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField(allow_blank=True)
