"""Sending what is due: spread events, lease deliveries, let them leave, record what came of it, until nothing is due.

Runs in housekeeping (django-q2): handed over on the commit of each event (`events.hand_over`), and each minute for
what was not. Killed at any moment it loses nothing (`leasing`). No network call is made inside a transaction.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from approvals.models import Channel, Delivery, Webhook
from approvals.outbound import audience, choices, email, leasing, payloads, signing, spreading, timing
from approvals.outbound.wire import GONE, Answer, Letter, Wire
from missions.engine.clock import database_now

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 60.0  # of one run: housekeeping has other jobs too


@dataclass(slots=True)
class Tally:
    """What a run did."""

    events: int = 0
    sent: int = 0
    failed: int = 0  # tries that failed, given up or not

    def __str__(self) -> str:
        return f"{self.events} events, {self.sent} sent, {self.failed} not."


def send_due(wire: Wire | None = None) -> str:
    """Send all that is due now; what was done, in words. Ends after a minute at most, with what it has begun."""
    wire, tally, began = wire or Wire(), Tally(), time.monotonic()
    tally.events = spreading.spread_all()
    while time.monotonic() - began < PATIENCE_SECONDS and (lot := leasing.take()):
        for delivery, answer in itertools.chain(_emails(lot), _posts(lot, wire)):
            leasing.record(delivery, answer)
            tally.sent, tally.failed = tally.sent + (not answer.error), tally.failed + bool(answer.error)
            _note(delivery, answer)
    return str(tally)


def _emails(lot: list[Delivery]) -> Iterator[tuple[Delivery, Answer]]:
    mine = sorted((one for one in lot if one.channel == Channel.EMAIL), key=lambda one: (one.user_id, one.created_at))
    for _, group in itertools.groupby(mine, key=lambda one: (one.user_id, "" if one.together else one.pk)):
        deliveries = [one for one in group if _still_wanted(one)]
        if not deliveries or _quiet(deliveries):
            continue
        user = deliveries[0].user
        assert user is not None
        answer = email.send(user.email, deliveries)
        yield from ((one, answer) for one in deliveries)


def _still_wanted(delivery: Delivery) -> bool:
    """Whether the person may still see it and wants it; dropped where not."""
    user = delivery.user
    if user is None or not audience.may_see(user, delivery.event):
        leasing.drop(delivery, "The person may not see it any more.")
    elif choices.wanted(choices.of(user), delivery.event.kind) == choices.When.OFF:
        leasing.drop(delivery, "The person does not want it any more.")
    else:
        return True
    return False


def _quiet(deliveries: list[Delivery]) -> bool:
    """Put off what would go out in the person's quiet hours, as a second try might."""
    user = deliveries[0].user
    assert user is not None
    choice = choices.of(user)
    zone = timing.zone_of(choice.time_zone)
    until = timing.quiet_until(database_now(), choice.quiet_from, choice.quiet_until, zone)
    if until is not None:
        leasing.put_off(deliveries, until)
    return until is not None


def _posts(lot: list[Delivery], wire: Wire) -> Iterator[tuple[Delivery, Answer]]:
    """All webhooks and callbacks of the lot at once: one that hangs holds up no other."""
    mine = [one for one in lot if one.channel != Channel.EMAIL and _still_kept(one)]
    if mine:
        yield from zip(mine, wire.post_all(map(letter_of, mine)), strict=True)


def _still_kept(delivery: Delivery) -> bool:
    webhook = delivery.webhook
    if webhook is None:
        return True
    if not (webhook.active and spreading.may_keep(webhook.owner)):
        leasing.drop(delivery, "The webhook is switched off, or who keeps it may not any more.")
        return False
    told = audience.may_be_told(webhook.owner, delivery.event)
    if not told:
        leasing.drop(delivery, "Who keeps the webhook may not see what this is about.")
    return told


def letter_of(delivery: Delivery) -> Letter:
    """The signed request of a webhook or a callback, dated now."""
    body, now = payloads.body_of(delivery), int(database_now().timestamp())
    webhook, external = delivery.webhook, delivery.external
    if webhook is not None:
        url, name = webhook.url, signing.of_webhook(webhook.salt)
    else:
        assert external is not None
        url, name = external.callback_url, signing.of_caller(external.opened_by_id, external.token_id)
    headers = {"content-type": "application/json", **signing.headers(name, f"msg_{delivery.pk.hex}", now, body)}
    return Letter(url=url, body=body, headers=headers)


def _note(delivery: Delivery, answer: Answer) -> None:
    """A webhook that says that it is gone is switched off; failures are logged."""
    if delivery.webhook_id is not None and answer.status == GONE:
        Webhook.objects.filter(pk=delivery.webhook_id).update(active=False, why_off="It answered 410 Gone.")
    if answer.error:
        facts = {"action": "delivery_failed", "delivery": str(delivery.pk), "channel": delivery.channel}
        logger.warning("A delivery failed: %s", answer.error, extra=facts)
