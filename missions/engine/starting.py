"""Starting missions: the one place that writes a mission row, its brief and its first entry."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from missions.engine import chain, codec, feed
from missions.engine.budgets import Budget
from missions.engine.clock import database_now
from missions.engine.registry import MissionType, get_type
from missions.errors import InvalidInput, KeyReused, MissionArchived
from missions.models import Archived, Brief, Entry, Kind, Mission, Payload

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TITLE_LENGTH, KEY_LENGTH = 200, 200


def start(
    type: str, input: dict[str, Any], *, title: str = "", key: str | None = None, started_by: User | None = None,
    via: str = "api", start_at: dt.datetime | None = None, priority: int = 0,
    budget: dict[str, Any] | None = None,
) -> tuple[Mission, bool]:
    """Start a mission; it and True, or the mission that the same person started with the same key, and False.

    `budget` sets limits (steps, effects, wall, cost, tokens) over those of the type.
    The input is checked against the type's schema first. Own transaction. Raises UnknownType, InvalidInput,
    KeyReused (same key, other request), MissionArchived (its mission ended long ago), PayloadTooLarge.
    """
    kind = get_type(type)
    checked = kind.check_input(input)
    _check_words(title, key)
    payload = {
        "type": kind.name, "version": kind.version, "title": title or kind.title, "input": checked,
        "started_by": started_by.get_username() if started_by else None, "via": via,
    }
    limits = {**kind.budget.as_json(), **Budget.from_json(budget or {}).as_json()}
    payload |= {"budget": limits} if limits else {}
    codec.dump(checked, limit=codec.INPUT_BYTES)
    full_key = f"{started_by.pk if started_by else 0}:{key}" if key is not None else None
    if full_key is not None and (known := Mission.objects.filter(idempotency_key=full_key).first()):
        return _same(known, payload), False
    if full_key is not None:
        _refuse_archived(full_key)
    try:
        with transaction.atomic():
            mission = _insert(kind, payload, full_key, started_by, via, start_at, priority)
    except IntegrityError:
        known = Mission.objects.filter(idempotency_key=full_key).first() if full_key else None
        if known is None:
            raise
        return _same(known, payload), False
    return mission, True


def _check_words(title: str, key: str | None) -> None:
    errors = []
    if len(title) > TITLE_LENGTH:
        errors.append({"field": "title", "message": f"At most {TITLE_LENGTH} characters."})
    if key is not None and not 0 < len(key) <= KEY_LENGTH:
        errors.append({"field": "key", "message": f"Between 1 and {KEY_LENGTH} characters."})
    if errors:
        raise InvalidInput("The request can not be taken.", errors=errors)


def _request_hash(payload: dict[str, Any]) -> bytes:
    """What makes two requests the same: their type and input."""
    return codec.input_hash([payload["type"], payload["input"]])


def _same(known: Mission, payload: dict[str, Any]) -> Mission:
    """The mission that was started with this key, provided that it was the same request."""
    first = Entry.objects.only("input_hash").get(mission_id=known.pk, seq=1)
    if bytes(first.input_hash) != _request_hash(payload):
        raise KeyReused(mission=str(known.uid))
    return known


def _refuse_archived(full_key: str) -> None:
    """A key counts once for ever: also when its mission has left the hot tables."""
    archived = Archived.objects.filter(idempotency_key=full_key).first()
    if archived is not None:
        raise MissionArchived(
            f"Mission {archived.uid} was started with this key; it {archived.state} and is archived.",
            mission=str(archived.uid), state=archived.state,
        )


def _insert(
    kind: MissionType, payload: dict[str, Any], full_key: str | None, started_by: User | None, via: str,
    start_at: dt.datetime | None, priority: int,
) -> Mission:
    now = database_now()
    mission = Mission.objects.create(
        type=kind.name, version=kind.version, idempotency_key=full_key, priority=priority, head_seq=1,
        wake_at=max(start_at, now) if start_at else now,
    )
    Brief.objects.create(
        mission=mission, title=payload["title"], started_by=started_by, started_via=via, started_at=now
    )
    _first_entry(mission, payload, now)
    feed.announce(f"m{mission.pk}")
    feed.announce_due()
    return mission


def _first_entry(mission: Mission, payload: dict[str, Any], now: dt.datetime) -> None:
    """Seq 1 holds type, title and input, so that they are part of the chain."""
    body, salt, request_hash = codec.dump(payload), chain.new_salt(), _request_hash(payload)
    digest = chain.digest(salt, body)
    stored = None
    if len(body) > codec.INLINE_BYTES:
        stored = hashlib.sha256(body).digest()
        Payload.objects.bulk_create([Payload(digest=stored, body=body)], ignore_conflicts=True)
    micros = chain.microseconds(now)
    Entry.objects.create(
        mission_id=mission.pk, seq=1, timeline=1, kind=Kind.STARTED, path="", input_hash=request_hash,
        payload=None if stored else body, stored=stored, salt=salt, digest=digest, attempt=0, recorded_at=now,
        chain=chain.link(chain.GENESIS, mission.uid, 1, 1, Kind.STARTED, "", request_hash, digest, micros),
    )
