"""The shapes of policies and their versions in the REST API. Owns form only; the verbs judge what a policy says."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from approvals.models import Mode, PolicyVersion, VersionState
from approvals.policies.lifecycle import NOTE_CHARACTERS
from approvals.policies.lint import Severity
from approvals.policies.modes import LONGEST_GLOB
from missions.web.serializers import Body, Text, Whole

LONGEST_YAML = 1024 * 1024


class RulesBody(Body):
    """Rules, as a list or as a YAML file; one of the two."""

    rules = serializers.ListField(required=False, help_text="As in a policy file.")
    yaml = Text(max_length=LONGEST_YAML, required=False, help_text="A policy file with one policy, instead of rules.")
    base = Whole(
        min_value=1, required=False, allow_null=True,
        help_text="The number of the version that was edited; a draft is replaced by the new one.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Raises for neither and for both."""
        if ("rules" in attrs) == ("yaml" in attrs):
            raise serializers.ValidationError({"rules": ["Send rules or yaml, one of the two."]})
        return attrs


class PolicyBody(RulesBody):
    """A new draft, of a new policy or of one that is there."""

    name = Text(max_length=100, required=False, help_text="Letters, digits, - and _; needed beside rules.")


class SubmitBody(Body):
    """What those who decide are told."""

    note = Text(max_length=NOTE_CHARACTERS, required=False, allow_blank=True, default="")
    activate_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Not before this; absent: with the approval.",
    )


class WithdrawChangeBody(Body):
    """Why."""

    reason = Text(max_length=NOTE_CHARACTERS, required=False, allow_blank=True, default="")


class ScopeBody(Body):
    """A scope of modes: globs, each absent one is `*`."""

    mission_type = Text(max_length=LONGEST_GLOB, required=False)
    tool = Text(max_length=LONGEST_GLOB, required=False)
    agent = Text(max_length=LONGEST_GLOB, required=False, allow_blank=True)


class ModeBody(Body):
    """Another mode."""

    mode = serializers.ChoiceField(Mode.choices, allow_null=True, help_text="Null takes the row of a scope away.")
    scope = ScopeBody(required=False, allow_null=True, default=None)
    reason = Text(max_length=NOTE_CHARACTERS, required=False, allow_blank=True, default="")


class ScopedMode(serializers.Serializer[Any]):
    """A mode in a scope; of several the first that fits applies."""

    mission_type = serializers.CharField()
    tool = serializers.CharField()
    agent = serializers.CharField(allow_blank=True)
    mode = serializers.ChoiceField(Mode.choices)


class VersionRow(serializers.Serializer[Any]):
    """A version in a list."""

    number = serializers.IntegerField()
    state = serializers.ChoiceField(VersionState.choices)
    digest = serializers.CharField(help_text="sha256 over the rules.")
    base = serializers.SerializerMethodField(help_text="The number of the version that it was edited from.")
    created_by = serializers.SerializerMethodField(help_text="Null where a command made it.")
    created_via = serializers.CharField(help_text="The command, where one made it or put it in force past the review.")
    created_at = serializers.DateTimeField()
    activated_at = serializers.DateTimeField(allow_null=True)
    decision = serializers.SerializerMethodField(help_text="The newest decision about it.")

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_base(self, version: PolicyVersion) -> int | None:
        """Its number."""
        return version.base.number if version.base else None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_created_by(self, version: PolicyVersion) -> str | None:
        """The author's name."""
        return version.created_by.get_username() if version.created_by else None

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_decision(self, version: PolicyVersion) -> str | None:
        """Its id."""
        newest = max(version.changes.all(), key=lambda change: change.pk, default=None)
        return str(newest.decision_id) if newest else None


class FindingShape(serializers.Serializer[Any]):
    """What the lint found."""

    rule = serializers.CharField(allow_blank=True)
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()
    severity = serializers.ChoiceField([(one.value, one.value) for one in Severity])


class VersionShape(VersionRow):
    """A version with its rules and what is suspicious in them."""

    rules = serializers.ListField(child=serializers.DictField())
    findings = serializers.ListField(child=FindingShape())


class PolicyRow(serializers.Serializer[Any]):
    """A policy and what is in force of it."""

    name = serializers.CharField()
    mode = serializers.ChoiceField(Mode.choices)
    modes = serializers.ListField(child=ScopedMode())
    in_force = serializers.IntegerField(allow_null=True, help_text="The number of the active version.")
    drafts = serializers.IntegerField()
    in_review = serializers.IntegerField()


class FieldChangeShape(serializers.Serializer[Any]):
    """One field of a rule, before and after."""

    field = serializers.CharField()
    old = serializers.JSONField(allow_null=True)
    new = serializers.JSONField(allow_null=True)


class ChangeShape(serializers.Serializer[Any]):
    """A rule that says something else."""

    name = serializers.CharField()
    fields = serializers.ListField(child=FieldChangeShape())  # type: ignore[assignment]  # a field, not the base's


class MoveShape(serializers.Serializer[Any]):
    """A rule in another place."""

    name = serializers.CharField()
    old = serializers.IntegerField()
    new = serializers.IntegerField()


class ComparisonShape(serializers.Serializer[Any]):
    """What one table changes of another, by the names of rules."""

    added = serializers.ListField(child=serializers.DictField())
    removed = serializers.ListField(child=serializers.DictField())
    changed = serializers.ListField(child=ChangeShape())
    moved = serializers.ListField(child=MoveShape())
    loosens = serializers.BooleanField(help_text="False: surely no intent is ruled less strictly.")
    why = serializers.ListField(child=serializers.CharField())


class TouchedShape(serializers.Serializer[Any]):
    """An open decision, as far as whoever sees its mission may know it."""

    id = serializers.UUIDField()
    sentence = serializers.CharField()
    mission = serializers.UUIDField(source="mission.uid")
    policy_version = serializers.CharField(help_text="The version that asked.")
    opened_at = serializers.DateTimeField()


class EventShape(serializers.Serializer[Any]):
    """A link of a policy's trail."""

    seq = serializers.IntegerField()
    what = serializers.CharField()
    version = serializers.SerializerMethodField()
    decision = serializers.UUIDField(source="decision_id", allow_null=True)
    by = serializers.CharField()
    via = serializers.CharField()
    why = serializers.CharField()
    facts = serializers.DictField()
    at = serializers.DateTimeField()
    link = serializers.CharField()

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_version(self, event: Any) -> int | None:
        """The number of the version that it is about."""
        return event.version.number if event.version else None
