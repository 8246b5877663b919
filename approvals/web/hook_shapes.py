"""The shapes of hooks and what came to them in the REST API. Own form only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rest_framework import serializers

from approvals.inbound import hooks
from approvals.inbound.trying import Preview
from approvals.models import ArrivalOutcome, By, Hook, Scheme, Verb
from approvals.policies.formulas import SOURCE_CHARACTERS
from missions.web.serializers import Body, Text, Whole


def formula(help_text: str) -> Text:
    """A field for a formula."""
    return Text(max_length=SOURCE_CHARACTERS, required=False, allow_blank=True, help_text=help_text)


class HookChanges(Body):
    """What can be changed of a hook; what is absent stays. Formulas are CEL over `payload` and `headers`."""

    active = serializers.BooleanField(required=False)
    scheme = serializers.ChoiceField(Scheme.choices, required=False)
    header = Text(max_length=60, required=False, allow_blank=True, help_text="Where else the signature is.")
    tolerance_seconds = Whole(required=False, help_text="How far the signed time may be from now: 300.")
    secret = Text(max_length=500, required=False, allow_blank=True, help_text="A reference to the sender's own.")
    when = formula("Only events for which this is true.")
    verb = serializers.ChoiceField(Verb.choices, required=False)
    mission_by = serializers.ChoiceField(By.choices, required=False)
    mission = formula("Which mission is signalled.")
    signal = Text(max_length=200, required=False, allow_blank=True)
    payload = formula("What the signal says; by default the event.")
    type = Text(max_length=100, required=False, allow_blank=True, help_text="A name from GET mission-types.")
    input = formula("What the mission works on; by default the event.")
    title = formula("The mission's title.")
    key = formula("What tells one deed from another; by default the event.")


class HookBody(HookChanges):
    """A new hook."""

    name = Text(max_length=100)


class HookTryBody(Body):
    """An event to try."""

    payload = serializers.DictField()
    headers = serializers.DictField(child=Text(max_length=1000, allow_blank=True), required=False, default=dict)
    changes = HookChanges(required=False, default=dict, help_text="Of the hook, for this try alone.")


class ContentShape(serializers.Serializer[Any]):
    """What a version of a hook says."""

    active = serializers.BooleanField()
    scheme = serializers.CharField()
    header = serializers.CharField(allow_blank=True)
    tolerance_seconds = serializers.IntegerField()
    secret = serializers.CharField(allow_blank=True)
    when = serializers.CharField(allow_blank=True)
    verb = serializers.CharField()
    mission_by = serializers.CharField()
    mission = serializers.CharField(allow_blank=True)
    signal = serializers.CharField(allow_blank=True)
    payload = serializers.CharField(allow_blank=True)
    type = serializers.CharField(allow_blank=True)
    input = serializers.CharField(allow_blank=True)
    title = serializers.CharField(allow_blank=True)
    key = serializers.CharField(allow_blank=True)


class HookSerializer(ContentShape):
    """A hook; its secret is told when it is made or renewed, and never again."""

    name = serializers.CharField()
    version = serializers.IntegerField()
    owner = serializers.CharField()
    created_at = serializers.DateTimeField()
    refusals = serializers.IntegerField(help_text="Events that were not well signed; nothing more is kept of them.")
    refused_at = serializers.DateTimeField(allow_null=True)
    refused_why = serializers.CharField(allow_blank=True)


class NewHookSerializer(HookSerializer):
    """A hook whose secret was just made."""

    own_secret = serializers.CharField(help_text="Signs its events, unless `secret` refers to the sender's own.")


class HookVersionShape(serializers.Serializer[Any]):
    """What a hook said from one time on."""

    number = serializers.IntegerField()
    by = serializers.CharField(source="by.username")
    at = serializers.DateTimeField()
    content = ContentShape()


class ArrivalSerializer(serializers.Serializer[Any]):
    """An event that came, well signed."""

    id = serializers.IntegerField()
    key = serializers.CharField(help_text="What tells it from others.")
    outcome = serializers.ChoiceField(ArrivalOutcome.choices)
    code = serializers.CharField(allow_blank=True, help_text="Why it was refused.")
    why = serializers.CharField(allow_blank=True)
    mission = serializers.UUIDField(allow_null=True)
    version = serializers.IntegerField(source="number")
    times = serializers.IntegerField(help_text="How often it came.")
    size = serializers.IntegerField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()


class TakenShape(serializers.Serializer[Any]):
    """What came of an event, for its sender."""

    id = serializers.IntegerField()
    outcome = serializers.ChoiceField(ArrivalOutcome.choices)
    mission = serializers.UUIDField(allow_null=True)
    repeated = serializers.BooleanField(help_text="It came before, and nothing changed.")


class HookPreviewShape(serializers.Serializer[Any]):
    """What an event would do."""

    ignored = serializers.BooleanField()
    deed = serializers.DictField(allow_null=True)
    mission = serializers.CharField(allow_blank=True)
    problem = serializers.CharField(allow_blank=True)
    errors = serializers.ListField(child=serializers.DictField())  # type: ignore[assignment]


def told(hook: Hook, own_secret: str = "") -> dict[str, Any]:
    """A hook in its shape, with its secret where it was just made."""
    known = {
        **asdict(hooks.said_by(hook)), "name": hook.name, "version": hook.number, "owner": hook.owner.get_username(),
        "created_at": hook.created_at, "refusals": hook.refusals, "refused_at": hook.refused_at,
        "refused_why": hook.refused_why,
    }  # fmt: skip
    if own_secret:
        return dict(NewHookSerializer({**known, "own_secret": own_secret}).data)
    return dict(HookSerializer(known).data)


def foretold(found: Preview) -> dict[str, Any]:
    """A preview in its shape."""
    deed = found.deed.told() if found.deed is not None else None
    return {
        "ignored": found.ignored, "deed": deed, "mission": found.mission, "problem": found.problem,
        "errors": list(found.errors),
    }  # fmt: skip
