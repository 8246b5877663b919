"""Which agents work on a mission, as part of how a mission is told."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from missions.agents import engagements
from missions.models import Mission


class AtWork(serializers.Serializer[Any]):
    """An agent in a mission, and the version that it works under there."""

    name = serializers.CharField(source="agent")
    version = serializers.IntegerField()
    seq = serializers.IntegerField(help_text="The entry from which on it does.")
    at = serializers.DateTimeField()


class WithAgents(serializers.Serializer[Any]):
    """The fields of a mission that tell of its agents, read once."""

    agent = serializers.SerializerMethodField()
    agents = serializers.SerializerMethodField()

    def to_representation(self, instance: Mission) -> dict[str, Any]:
        """The shape; the agents are read first."""
        self._agents = engagements.of_mission(instance.pk)
        told: dict[str, Any] = super().to_representation(instance)
        return told

    @extend_schema_field(AtWork(allow_null=True))
    def get_agent(self, mission: Mission) -> dict[str, Any] | None:
        """The agent that began to work on it first; null where none has."""
        return AtWork(self._agents[0]).data if self._agents else None

    @extend_schema_field(AtWork(many=True))
    def get_agents(self, mission: Mission) -> list[dict[str, Any]]:
        """All that worked on it, sub-agents too, each under the version that it came to last."""
        return list(AtWork(self._agents, many=True).data)
