"""How agents, their versions and what was in force are told over REST, and the bodies that make and change them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from missions.agents import isolation
from missions.agents.activation import WHY_CHARACTERS
from missions.agents.versions import NOTE_CHARACTERS
from missions.models import Activation, Agent, AgentVersion, Engagement, Isolation, MemoryScope, Mission
from missions.web.serializers import Body, MissionSerializer, Text, Whole

INACTIVE, ACTIVE, RETIRED = STATES = ("inactive", "active", "retired")


class VersionBody(Body):
    """What a version of an agent says. The verb checks it; here only its form is."""

    title = Text(help_text="What people call it.")
    instructions = Text(help_text="At most 64 KiB. No tool and no document ever adds to them.")
    llm = serializers.ListField(
        child=Text(), required=False, default=list, help_text="PROVIDER/MODEL in the order of trial; none: LLM_CHAIN."
    )
    tools = serializers.ListField(
        child=Text(), required=False, default=list, help_text="Names or globs of tools; `agent:NAME` for an agent."
    )
    data_classes = serializers.ListField(
        child=Text(), required=False, default=list, help_text="What it is cleared for, within its mission's clearance."
    )
    budget = serializers.DictField(
        required=False, default=dict, help_text="Of one call of it: turns, tokens, cost (decimal text)."
    )
    memory_scope = serializers.ChoiceField(MemoryScope.choices, required=False, default=MemoryScope.MISSION)
    egress = serializers.ListField(
        child=Text(), required=False, default=list, help_text="HOST:PORT that what runs in isolation may reach."
    )
    isolation = serializers.ChoiceField(Isolation.choices, required=False, default=Isolation.NONE, allow_blank=True)
    note = Text(max_length=NOTE_CHARACTERS, required=False, allow_blank=True, default="", help_text="Why it is made.")


class NewVersionBody(VersionBody):
    """A further version."""

    base = Whole(min_value=1, required=False, allow_null=True, default=None, help_text="What it was edited from.")


class AgentBody(VersionBody):
    """A new agent with its first version."""

    name = Text(max_length=100, help_text="Lower-case letters, digits and -, a letter first.")


class DeedBody(Body):
    """Why another version comes in force, or none."""

    reason = Text(max_length=WHY_CHARACTERS)
    seen = Whole(
        min_value=0, required=False, allow_null=True, default=None,
        help_text="The version in force as you saw it, 0 for none: where another one is by now, 409.",
    )


class RollBackBody(DeedBody):
    """Which version comes back."""

    to = Whole(
        min_value=1, required=False, allow_null=True, default=None,
        help_text="One that was in force; absent: the one before `seen`, which is wanted then.",
    )


class NoteShape(serializers.Serializer[Any]):
    """What was odd about a version when it was saved."""

    field = serializers.CharField()
    message = serializers.CharField()


class IsolationShape(serializers.Serializer[Any]):
    """Whether a version demands isolation, and what of that is missing here now."""

    demanded = serializers.BooleanField(source="is_demanded")
    because = serializers.ListField(child=serializers.CharField())
    missing = serializers.DictField(child=serializers.CharField(), help_text="Capability → why, and how to mend it.")
    driver = serializers.CharField()
    checked_at = serializers.CharField(help_text="When the last self-test ran; empty: none has.")


class AgentVersionSerializer(serializers.Serializer[Any]):
    """What an agent is under one version."""

    agent = serializers.CharField(source="agent.name")
    number = serializers.IntegerField()
    in_force = serializers.SerializerMethodField()
    title = serializers.CharField()
    instructions = serializers.CharField()
    llm = serializers.ListField(child=serializers.CharField())
    tools = serializers.ListField(child=serializers.CharField())
    data_classes = serializers.ListField(child=serializers.CharField())
    budget = serializers.DictField()
    memory_scope = serializers.ChoiceField(MemoryScope.choices)
    egress = serializers.ListField(child=serializers.CharField())
    isolation = serializers.ChoiceField(Isolation.choices)
    digest = serializers.CharField(help_text="sha256 over all that it says.")
    warnings = NoteShape(many=True)
    base = serializers.SerializerMethodField()
    note = serializers.CharField()
    created_by = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    def get_in_force(self, version: AgentVersion) -> bool:
        """Whether missions that call the agent now get this version."""
        return version.agent.active_id == version.pk

    def get_base(self, version: AgentVersion) -> int | None:
        """The version that it was edited from."""
        return version.base.number if version.base is not None else None

    def get_created_by(self, version: AgentVersion) -> str | None:
        """A username; null where no person made it."""
        return version.created_by.get_username() if version.created_by else None


class ActivationSerializer(serializers.Serializer[Any]):
    """That another version came in force, or none."""

    what = serializers.ChoiceField(Activation.What.choices)
    version = serializers.IntegerField(source="version.number", default=None, allow_null=True)
    previous = serializers.IntegerField(source="previous.number", default=None, allow_null=True)
    by = serializers.CharField(help_text="Empty where no person did it.")
    via = serializers.CharField()
    reason = serializers.CharField(source="why")
    at = serializers.DateTimeField()


class AgentSerializer(serializers.Serializer[Any]):
    """An agent as lists tell it."""

    name = serializers.CharField()
    title = serializers.CharField(help_text="What people call it; its name where no version is in force.")
    state = serializers.SerializerMethodField()
    version = serializers.IntegerField(source="active.number", default=None, allow_null=True)
    created_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ChoiceField(STATES))
    def get_state(self, agent: Agent) -> str:
        """Active where a version is in force."""
        return ACTIVE if agent.active is not None else RETIRED if agent.retired_at is not None else INACTIVE


class AgentDetailSerializer(AgentSerializer):
    """An agent with what is in force, what that demands, and the latest changes of it."""

    active = AgentVersionSerializer(allow_null=True)
    isolation = serializers.SerializerMethodField()
    activations = serializers.SerializerMethodField()

    @extend_schema_field(IsolationShape(allow_null=True))
    def get_isolation(self, agent: Agent) -> dict[str, Any] | None:
        """As it stands now; null where no version is in force."""
        return IsolationShape(isolation.standing(agent.active)).data if agent.active is not None else None

    @extend_schema_field(ActivationSerializer(many=True))
    def get_activations(self, agent: Agent) -> list[dict[str, Any]]:
        """The latest twenty, the last first."""
        rows = agent.activations.select_related("version", "previous").order_by("-pk")[:20]
        return list(ActivationSerializer(rows, many=True).data)


class EngagedMissionSerializer(serializers.Serializer[Any]):
    """A mission in which an agent works or worked, and the version that it came to work under last."""

    version = serializers.IntegerField()
    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    mission = MissionSerializer()

    def to_representation(self, instance: tuple[Engagement, Mission]) -> dict[str, Any]:
        """The shape of a row and its mission."""
        row, mission = instance
        told = {"version": row.version, "seq": row.seq, "at": row.at, "mission": mission}
        shown: dict[str, Any] = super().to_representation(told)
        return shown
