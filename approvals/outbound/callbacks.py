"""How the answer to a decision from outside goes back to who opened it, and who may know of that. Reads only.

Told to whoever opened the decision, operators and administrators, as far as they see it: the address is the opener's.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User

from approvals.models import Channel, Decision, DecisionKind, Delivery, DeliveryState, External
from approvals.outbound import spreading

SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """Where the answer goes, and how far it is; no delivery before there is an answer to send."""

    url: str
    delivery: Delivery | None


def of(decision: Decision, reader: User) -> Callback | None:
    """The callback of a decision that this person sees; None where there is none, or none for them to know of."""
    if decision.kind != DecisionKind.EXTERNAL:
        return None
    asked = External.objects.filter(decision=decision).exclude(callback_url="").first()
    if asked is None or not (asked.opened_by_id == reader.pk or spreading.may_keep(reader)):
        return None
    sent = Delivery.objects.filter(external=asked).select_related("event").prefetch_related("log")
    return Callback(url=asked.callback_url, delivery=sent.order_by("-created_at", "-pk").first())


def given_up(reader: User) -> list[Delivery]:
    """The callbacks that were given up last, of decisions that this operator or administrator sees."""
    seen = Decision.objects.visible_to(reader).values("pk")
    failed = Delivery.objects.filter(channel=Channel.CALLBACK, state=DeliveryState.FAILED, external__in=seen)
    return list(failed.select_related("external__decision").order_by("-done_at")[:SHOWN])
