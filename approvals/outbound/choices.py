"""What each person wants to be told, and when: the table of choices, its defaults, and when a delivery is due by it.

Must not decide who may be told (`audience`).
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import models, transaction

from approvals.models import DigestEvery, EventKind, NotificationChoice
from approvals.outbound import timing
from missions.engine import listeners
from missions.errors import InvalidInput


class When(models.TextChoices):
    """How an event reaches a person by e-mail."""

    NOW = "now", "At once"
    DIGEST = "digest", "In the digest"
    OFF = "off", "Not at all"


DEFAULTS: dict[str, str] = {
    EventKind.OPENED: When.NOW, EventKind.DUE_SOON: When.NOW, EventKind.OVERDUE: When.NOW,
    EventKind.ESCALATED: When.NOW, EventKind.SETTLED: When.NOW, EventKind.COMMENT: When.DIGEST,
    EventKind.COMPLETED: When.DIGEST, EventKind.FAILED: When.NOW, EventKind.ATTENTION: When.NOW,
    EventKind.STUCK: When.NOW, EventKind.IN_DOUBT: When.NOW, EventKind.BUDGET: When.NOW,
    EventKind.WORKER_DOWN: When.NOW,
}  # fmt: skip
OUTCOMES = (EventKind.COMPLETED, EventKind.FAILED, EventKind.ATTENTION)  # what the lane is listened to for


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When a delivery goes out, and whether with others of the same person in one message."""

    at: dt.datetime
    together: bool


def of(user: User) -> NotificationChoice:
    """The choices of a person, the defaults where there are none; nothing is written."""
    return NotificationChoice.objects.filter(user=user).first() or NotificationChoice(user=user)


def wanted(choice: NotificationChoice, kind: str) -> str:
    """How the person wants this kind of event: one of `When`."""
    return str(choice.events.get(kind) or DEFAULTS[kind])


def due(choice: NotificationChoice, kind: str, now: dt.datetime) -> Due | None:
    """When this event is due for the person; None for never. What quiet hours hold back goes out together."""
    when = wanted(choice, kind)
    if when == When.OFF:
        return None
    zone = timing.zone_of(choice.time_zone)
    at, together = now, when == When.DIGEST
    if together:
        daily = choice.digest_every == DigestEvery.DAY
        at = timing.next_time(now, _time(choice.digest_at), zone) if daily else timing.next_hour(now)
    held = timing.quiet_until(at, choice.quiet_from, choice.quiet_until, zone)
    return Due(at=held or at, together=together or held is not None)


def _time(value: dt.time | str) -> dt.time:
    """An unsaved row holds its default as text."""
    return dt.time.fromisoformat(value) if isinstance(value, str) else value


def keep(
    user: User, *, events: dict[str, str], time_zone: str, digest_every: str, digest_at: dt.time,
    quiet_from: dt.time | None, quiet_until: dt.time | None,
) -> NotificationChoice:
    """Keep a person's choices, and listen to the ends of their missions only where they want them. Own transaction.

    Raises InvalidInput, field by field; then nothing is kept.
    """
    errors = [{"field": kind, "message": "There is no such event."} for kind in events if kind not in DEFAULTS]
    errors += [{"field": kind, "message": "One of now, digest, off."} for kind, when in events.items()
               if when not in When.values]  # fmt: skip
    if time_zone not in zoneinfo.available_timezones():
        errors.append({"field": "time_zone", "message": "Not a time zone, as Europe/Berlin is one."})
    if digest_every not in DigestEvery.values:
        errors.append({"field": "digest_every", "message": "One of hour, day."})
    if (quiet_from is None) != (quiet_until is None):
        errors.append({"field": "quiet_until", "message": "Give both ends of the quiet hours, or none."})
    if errors:
        raise InvalidInput("Nothing was kept.", errors=errors)
    with transaction.atomic():
        values = {
            "events": events, "time_zone": time_zone, "digest_every": digest_every, "digest_at": digest_at,
            "quiet_from": quiet_from, "quiet_until": quiet_until,
        }
        choice, _ = NotificationChoice.objects.update_or_create(user=user, defaults=values)
        _listen(user, choice)
    return choice


def _listen(user: User, choice: NotificationChoice) -> None:
    outcomes = any(wanted(choice, kind) != When.OFF for kind in OUTCOMES)
    listeners.listen(listeners.of_person(user.pk), outcomes)


def on_sign_in(sender: object, user: User, **facts: object) -> None:
    """Who signs in to the console hears of the missions that they start; programs with tokens never sign in."""
    if user.email:
        _listen(user, of(user))


user_logged_in.connect(on_sign_in, dispatch_uid="approvals.outbound.choices")
