"""The shapes of the REST API: what bodies must look like, and how missions are told; their records: `record_shapes`.

Owns no rule beyond form. Bodies are strict: a field of another type or an unknown one is refused by name.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from missions.engine import accounts, history
from missions.engine.budgets import Spent
from missions.models import Mission, OnFailure, Outcome, State
from missions.visibility import seen_by
from missions.web import progress, relation_shapes
from missions.web.account import BudgetShape, SpendShape
from missions.web.at_work import WithAgents

if TYPE_CHECKING:
    from django.contrib.auth.models import User

UNKNOWN_FIELD = "There is no such field."
PARKED = (State.SLEEPING, State.WAITING)


class Body(serializers.Serializer[Any]):
    """A request body that knows all its fields."""

    def to_internal_value(self, data: Any) -> Any:
        """The checked fields; the errors of unknown fields come together with all others."""
        unknown = {str(name)[:100]: [UNKNOWN_FIELD] for name in data if name not in self.fields}
        try:
            checked = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**error.detail, **unknown}) from error  # type: ignore[dict-item]
        if unknown:
            raise serializers.ValidationError(unknown)
        return checked


class Text(serializers.CharField):
    """Text and nothing that merely looks like it; blanks are kept."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """Raises for numbers, which DRF would write out."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number, not text that holds one."""

    def to_internal_value(self, data: Any) -> int:
        """Raises for text, true and false."""
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class Moment(serializers.DateTimeField):
    """An RFC 3339 time with its offset: without one nobody knows what it means."""

    default_error_messages = {"naive": "Give the offset too, as in 2030-01-31T09:00:00+01:00."}

    def enforce_timezone(self, value: dt.datetime) -> dt.datetime:
        """Raises for a time without an offset."""
        if value.tzinfo is None:
            self.fail("naive")
        return super().enforce_timezone(value)


class StartBody(Body):
    """What starts a mission."""

    type = Text(max_length=100, help_text="A name from GET mission-types.")
    input = serializers.DictField(help_text="An object that fits the type's input schema.")
    title = Text(max_length=200, required=False, allow_blank=True, default="")
    key = Text(max_length=200, required=False, allow_null=True, default=None)
    start_at = Moment(required=False, allow_null=True, default=None, help_text="Not before this time.")
    priority = Whole(min_value=-100, max_value=100, required=False, default=0, help_text="Higher runs first.")
    budget = serializers.DictField(
        required=False, allow_null=True, default=None,
        help_text="Limits over those of the type: steps, effects, wall (seconds), cost, tokens.",
    )
    deadline_at = Moment(required=False, allow_null=True, default=None, help_text="It is stopped if it runs then.")
    after = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, help_text="Only once these missions have ended."
    )
    data_classes = serializers.ListField(
        child=Text(max_length=50), max_length=20, required=False, allow_null=True, default=None,
        help_text="A clearance that is less than the type's.",
    )
    agent = Text(
        max_length=100, required=False, allow_null=True, default=None,
        help_text="The agent that works on it, where the type takes one in its input, as `agent` does.",
    )
    on_failure = serializers.ChoiceField(
        OnFailure.choices, required=False, default=OnFailure.FAIL,
        help_text="What to do where one of those fails, is cancelled or is refused.",
    )


class SignalBody(Body):
    """A message to a mission."""

    name = Text(max_length=200, help_text="Not `decision:…` and the like, which only Standfast sends.")
    payload = serializers.DictField(required=False, default=dict)
    key = Text(max_length=200, required=False, allow_null=True, default=None)


class SignalReceipt(serializers.Serializer[Any]):
    """What became of a signal."""

    mission = serializers.UUIDField()
    name = serializers.CharField()
    key = serializers.CharField(allow_null=True)
    delivered = serializers.BooleanField(help_text="false: this key was delivered before, and nothing changed.")


class WaitingFor(serializers.Serializer[Any]):
    """What a parked mission waits for."""

    kind = serializers.ChoiceField(
        ["decision", "limit", "stop", "budget", "signal", "child", "mission", "timer", "tool", "changed", "llm", "mcp"]
    )
    what = serializers.CharField(help_text="The id of the decision or mission; the name of all others.")
    since = serializers.DateTimeField(allow_null=True)
    due = serializers.DateTimeField(allow_null=True, help_text="When it goes on at the latest.")


class VerdictShape(serializers.Serializer[Any]):
    """What a mission returned."""

    verdict = serializers.CharField()
    summary = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]  # a field here, whatever the base calls data


class MissionSerializer(serializers.Serializer[Any]):
    """A mission as lists tell it; wants `brief__started_by` and `outcome` loaded."""

    id = serializers.UUIDField(source="uid")
    type = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField(source="brief.title")
    state = serializers.ChoiceField(State.choices)
    reason = serializers.CharField(help_text="Why it is paused.")
    waiting_for = serializers.SerializerMethodField()
    step = serializers.CharField(help_text="Where it is: the path of its last entry.")
    timeline = serializers.IntegerField()
    attempt = serializers.IntegerField()
    priority = serializers.IntegerField()
    deadline_at = serializers.DateTimeField(allow_null=True)
    verdict = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    started_by = serializers.SerializerMethodField()
    started_at = serializers.DateTimeField(source="brief.started_at")
    ended_at = serializers.SerializerMethodField()

    @extend_schema_field(WaitingFor(allow_null=True))
    def get_waiting_for(self, mission: Mission) -> dict[str, Any] | None:
        """Null unless it is parked."""
        if mission.state not in PARKED or not mission.waits_for:
            return None
        kind, _, what = mission.waits_for.partition(":")
        return WaitingFor({"kind": kind, "what": what, "since": mission.waits_since, "due": mission.wake_at}).data

    @extend_schema_field(VerdictShape(allow_null=True))
    def get_verdict(self, mission: Mission) -> dict[str, Any] | None:
        """Null unless it completed."""
        end = ending(mission)
        return {"verdict": end.verdict, "summary": end.summary, "data": end.data} if end and end.verdict else None

    def get_error(self, mission: Mission) -> str | None:
        """Null unless it failed."""
        end = ending(mission)
        return end.error or None if end else None

    def get_started_by(self, mission: Mission) -> str | None:
        """A username; null where a command or another mission started it."""
        user = mission.brief.started_by
        return user.get_username() if user else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_ended_at(self, mission: Mission) -> dt.datetime | None:
        """Null unless it ended."""
        end = ending(mission)
        return end.ended_at if end else None


class ProgressShape(serializers.Serializer[Any]):
    """What a call that is under way has reported last."""

    path = serializers.CharField()
    progress = serializers.JSONField(allow_null=True, help_text="In the call's own terms.")
    attempt = serializers.IntegerField()
    reported_at = serializers.DateTimeField()


class MissionDetailSerializer(WithAgents, MissionSerializer):
    """A mission on its own, with its input, its account and the missions around it."""

    input = serializers.SerializerMethodField()
    data_classes = serializers.SerializerMethodField()
    spend = serializers.SerializerMethodField()
    budget = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField()
    parent = serializers.SerializerMethodField()  # type: ignore[assignment]  # a field, not the base's property
    children = serializers.SerializerMethodField()
    after = serializers.SerializerMethodField()

    def to_representation(self, instance: Mission) -> dict[str, Any]:
        """The shape; the account is read once. `seen` in the context says which other missions it may name."""
        self._ledger, self._seen = accounts.ledger_of(instance), self.context["seen"]
        told: dict[str, Any] = super().to_representation(instance)
        return told

    @extend_schema_field(SpendShape)
    def get_spend(self, mission: Mission) -> dict[str, Any]:
        """What it has used, on all timelines."""
        return SpendShape(self._ledger.spent if self._ledger is not None else Spent()).data

    @extend_schema_field(BudgetShape(allow_null=True))
    def get_budget(self, mission: Mission) -> dict[str, Any] | None:
        """Null where nothing is limited."""
        return (accounts.limits(self._ledger) or None) if self._ledger is not None else None

    @extend_schema_field(ProgressShape(allow_null=True))
    def get_progress(self, mission: Mission) -> dict[str, Any] | None:
        """Null where nothing that is under way has reported anything."""
        found = progress.latest(mission)
        return ProgressShape(found).data if found is not None else None

    def get_input(self, mission: Mission) -> dict[str, Any]:
        """As it was checked at the start, defaults filled in."""
        given: Mapping[str, Any] = self._first(mission).get("input", {})
        return dict(given)

    def get_data_classes(self, mission: Mission) -> list[str]:
        """What it is cleared for, as it was started: a level, and labels."""
        return list(accounts.clearance_of(self._first(mission)))

    def _first(self, mission: Mission) -> dict[str, Any]:
        first = history.entries(mission.pk, limit=1)
        return first[0].payload if first else {}

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_parent(self, mission: Mission) -> uuid.UUID | None:
        """The mission that started it; null for most."""
        found = relation_shapes.parent_of(mission, self._seen)
        return found.uid if found else None

    @extend_schema_field(relation_shapes.ChildShape(many=True))
    def get_children(self, mission: Mission) -> list[dict[str, Any]]:
        """The missions that it started, at most the latest hundred."""
        return relation_shapes.children_of(mission, self._seen)

    @extend_schema_field(relation_shapes.AwaitedShape(many=True))
    def get_after(self, mission: Mission) -> list[dict[str, Any]]:
        """The missions that had or have to end before it starts."""
        return relation_shapes.awaited_by(mission, self._seen)


def detail_for(user: User | AnonymousUser, mission: Mission) -> dict[str, Any]:
    """A mission on its own as this person may see it, who sees the mission itself."""
    told: dict[str, Any] = MissionDetailSerializer(mission, context={"seen": seen_by(user)}).data
    return told


def whole_detail(mission: Mission) -> dict[str, Any]:
    """A mission on its own, for who runs the commands: nothing is kept from them."""
    told: dict[str, Any] = MissionDetailSerializer(mission, context={"seen": Q()}).data
    return told


def ending(mission: Mission) -> Outcome | None:
    """How a mission ended; None while it goes on."""
    found: Outcome | None = getattr(mission, "outcome", None)
    return found
