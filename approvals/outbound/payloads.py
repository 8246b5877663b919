"""What webhooks and callbacks are told, as JSON. Pure but for the links.

As thin as a message to people: no arguments, no evidence, no comments. A callback to who opened a decision brings the
answer too, which is theirs.
"""

from __future__ import annotations

from typing import Any

from approvals.models import Delivery, Event, WebhookFormat
from approvals.outbound import words
from missions.engine import codec

ANSWER = ("verdict", "by", "at", "digest", "choice", "value", "comment", "reason_code", "reference", "edited_args")


def body_of(delivery: Delivery) -> bytes:
    """The body of a webhook's or a callback's request."""
    if delivery.external is not None:
        return codec.dump(_callback(delivery))
    if delivery.webhook is not None and delivery.webhook.format == WebhookFormat.SLACK:
        return codec.dump({"text": slack(delivery.event)})
    return codec.dump(told(delivery.event))


def told(event: Event) -> dict[str, Any]:
    """An event, in the shape of Standard Webhooks: type, timestamp, data."""
    return {
        "type": event.kind, "timestamp": event.at.isoformat(), "data": {
            "event": str(event.pk), "sentence": event.sentence, "url": words.link(event),
            "decision": str(event.decision_id) if event.decision_id else None,
            "mission": str(event.mission_uid) if event.mission_uid else None, "facts": event.facts,
        },
    }  # fmt: skip


def slack(event: Event) -> str:
    """One line with a link, in Slack's own escaping (https://docs.slack.dev/messaging/formatting-message-text)."""
    text = words.line(event).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{text} <{words.link(event)}|Open>"


def _callback(delivery: Delivery) -> dict[str, Any]:
    """How a decision was settled, for the system that opened it."""
    assert delivery.external is not None
    decision = delivery.external.decision
    resolution = decision.resolution or {}
    return {
        "type": delivery.event.kind, "timestamp": delivery.event.at.isoformat(), "data": {
            "id": str(decision.pk), "key": delivery.external.key, "state": decision.state, "digest": decision.digest,
            "sentence": decision.sentence, "resolution": {name: resolution.get(name) for name in ANSWER},
        },
    }  # fmt: skip
