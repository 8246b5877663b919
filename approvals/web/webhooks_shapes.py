"""The shapes of webhooks and their deliveries in the REST API. Own form only."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from approvals.models import Channel, Delivery, DeliveryState, EventKind, Webhook, WebhookFormat
from missions.web.serializers import Body, Text


class WebhookChanges(Body):
    """What can be changed of a webhook; what is absent stays."""

    name = Text(max_length=100, required=False)
    url = Text(max_length=2000, required=False, help_text="http or https, and public unless its host is listed.")
    format = serializers.ChoiceField(WebhookFormat.choices, required=False)
    events = serializers.ListField(
        child=Text(max_length=30), required=False, max_length=50,
        help_text=f"`*`, or of {', '.join(EventKind.values)}.",
    )
    active = serializers.BooleanField(required=False)


class WebhookBody(WebhookChanges):
    """A new webhook."""

    name = Text(max_length=100)
    url = Text(max_length=2000, help_text="http or https, and public unless its host is listed.")


class WebhookSerializer(serializers.Serializer[Any]):
    """A webhook; its secret is told when it is made and never again."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()
    format = serializers.ChoiceField(WebhookFormat.choices)
    events = serializers.ListField(child=serializers.CharField())
    active = serializers.BooleanField()
    why_off = serializers.CharField(allow_blank=True)
    owner = serializers.CharField(source="owner.username")
    created_at = serializers.DateTimeField()


class NewWebhookSerializer(WebhookSerializer):
    """A webhook just made."""

    secret = serializers.CharField(help_text="Signs what it is told, by the Standard Webhooks convention.")


class TryShape(serializers.Serializer[Any]):
    """What came of one try."""

    at = serializers.DateTimeField()
    status = serializers.IntegerField(allow_null=True, help_text="The HTTP status that was answered.")
    error = serializers.CharField(allow_blank=True)
    milliseconds = serializers.IntegerField()


class DeliverySerializer(serializers.Serializer[Any]):
    """One event on its way to a webhook."""

    id = serializers.UUIDField(help_text="In the header webhook-id as `msg_` and its 32 hexadecimal digits.")
    event = serializers.CharField(source="event.kind")
    sentence = serializers.CharField(source="event.sentence")
    channel = serializers.ChoiceField(Channel.choices)
    state = serializers.ChoiceField(DeliveryState.choices)
    tries = serializers.SerializerMethodField()
    error = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    next_at = serializers.SerializerMethodField(help_text="Of the next try; null where none comes.")
    done_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(TryShape(many=True))
    def get_tries(self, delivery: Delivery) -> list[Any]:
        """All tries, in order."""
        return list(TryShape(delivery.log.all(), many=True).data)

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_next_at(self, delivery: Delivery) -> Any:
        """Only while it waits for one."""
        return delivery.next_at if delivery.state == DeliveryState.WAITING else None


def told(webhook: Webhook, secret: str = "") -> dict[str, Any]:
    """A webhook in its shape, with its secret where it was just made."""
    if secret:
        webhook.secret = secret  # type: ignore[attr-defined]
        return dict(NewWebhookSerializer(webhook).data)
    return dict(WebhookSerializer(webhook).data)
