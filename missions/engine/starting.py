"""Starting missions: the one place that writes a mission row, its brief and its first entry."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, connection, transaction

from missions.data_classes import DEFAULT, Clearance, clearance, common, covers
from missions.engine import alarms, chain, codec, dependencies, feed, prepared
from missions.engine.budgets import Budget
from missions.engine.clock import database_now
from missions.engine.registry import MissionType, get_type
from missions.errors import InvalidInput, KeyReused, MissionArchived
from missions.models import Archived, Child, Entry, Kind, Mission, OnFailure, State

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TITLE_LENGTH, KEY_LENGTH = 200, 200
PRIORITIES = (-100, 100)
DEADLINE = "mission.deadline"  # the alarm's handler: `missions.engine.deadlines`


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a mission is to be started with. `key` is the whole idempotency key; `child` goes without its own id."""

    type: str
    input: dict[str, Any]
    title: str = ""
    key: str | None = None
    started_by: User | None = None
    via: str = "api"
    start_at: dt.datetime | None = None
    priority: int = 0
    deadline_at: dt.datetime | None = None
    after: Sequence[dependencies.Reference] = ()
    on_failure: str = OnFailure.FAIL
    budget: dict[str, Any] | None = None
    child: Child | None = None
    effects_off: bool = False  # it may not change the world, as the mission that starts it may not
    data_classes: Sequence[str] | None = None  # less than its type is cleared for; None: all of that
    at_most: Clearance | None = None  # the clearance of the mission that starts it
    untrusted: Sequence[str] = ()  # the sources outside our trust that the mission that starts it has read from


def start(
    type: str, input: dict[str, Any], *, key: str | None = None, started_by: User | None = None, **more: Any
) -> tuple[Mission, bool]:
    """Start a mission; it and True, or the mission that the same person started with the same key, and False.

    `more`: title, via, start_at, priority (higher runs first), deadline_at, after (ids of missions that have to end
    first), on_failure (what to do where one of them fails: `OnFailure`), budget (limits over those of the type: steps,
    effects, wall, cost, tokens), data_classes (a clearance that is less than the type's). The input is checked against
    the type's schema first. Own transaction. Raises UnknownType, InvalidInput, KeyReused (same key, other request),
    MissionArchived (its mission ended long ago), PayloadTooLarge.
    """
    _check_key(key)
    full_key = f"{started_by.pk if started_by else 0}:{key}" if key is not None else None
    return begin(Wish(type=type, input=input, key=full_key, started_by=started_by, **more))


def begin(wish: Wish) -> tuple[Mission, bool]:
    """`start` for those who make keys of their own: parents and schedules. Raises what `start` raises."""
    kind = get_type(wish.type)
    payload = _payload(kind, wish)
    _check_words(wish)
    codec.dump(payload["input"], limit=codec.INPUT_BYTES)
    if wish.after and (known := _known(wish, payload)) is not None:  # what it waited for may be gone by now
        return known, False
    mission = _insert(kind, payload, wish)
    if mission is not None:
        return mission, True
    if (known := _known(wish, payload)) is None:
        raise IntegrityError("The mission could not be started, and nothing says why.")
    return known, False


def _payload(kind: MissionType, wish: Wish) -> dict[str, Any]:
    """The first entry; what is not given is not in it."""
    given = kind.check_input(wish.input)
    payload = {
        "type": kind.name, "version": kind.version, "title": wish.title or kind.title_of(given), "input": given,
        "started_by": wish.started_by.get_username() if wish.started_by else None, "via": wish.via,
    }
    if wish.after:
        payload |= {"after": [str(uid) for uid in wish.after], "on_failure": str(wish.on_failure)}
    if wish.deadline_at is not None:
        payload["deadline_at"] = wish.deadline_at.isoformat()
    limits = {**kind.budget.as_json(), **Budget.from_json(wish.budget or {}).as_json()}
    if limits:
        payload["budget"] = limits
    if (cleared := _clearance(kind, wish)) != DEFAULT:
        payload["data_classes"] = list(cleared)
    if wish.effects_off:
        payload["effects"] = False
    if wish.untrusted:
        payload["untrusted"] = list(wish.untrusted)
    return payload


def _clearance(kind: MissionType, wish: Wish) -> Clearance:
    """What the mission may touch: never more than its type, nor than who starts it. Raises InvalidInput."""
    try:
        wanted = kind.data_classes if wish.data_classes is None else clearance(wish.data_classes)
    except ValueError as error:
        wrong = [{"field": "data_classes", "message": f"{error}."}]
        raise InvalidInput("The request can not be taken.", errors=wrong) from error
    beyond = sorted(name for name in wanted if not covers(kind.data_classes, name))
    if beyond:
        message = f"Missions of this type are not cleared for {', '.join(beyond)}."
        raise InvalidInput("The request can not be taken.", errors=[{"field": "data_classes", "message": message}])
    return wanted if wish.at_most is None else common(wanted, wish.at_most)


def _check_key(key: str | None) -> None:
    if key is not None and not 0 < len(key) <= KEY_LENGTH:
        message = f"Between 1 and {KEY_LENGTH} characters."
        raise InvalidInput("The request can not be taken.", errors=[{"field": "key", "message": message}])


def _check_words(wish: Wish) -> None:
    errors = []
    if len(wish.title) > TITLE_LENGTH:
        errors.append({"field": "title", "message": f"At most {TITLE_LENGTH} characters."})
    if not PRIORITIES[0] <= wish.priority <= PRIORITIES[1]:
        errors.append({"field": "priority", "message": f"Between {PRIORITIES[0]} and {PRIORITIES[1]}."})
    if wish.on_failure not in OnFailure.values:
        errors.append({"field": "on_failure", "message": f"One of {', '.join(OnFailure.values)}."})
    if errors:
        raise InvalidInput("The request can not be taken.", errors=errors)


def _known(wish: Wish, payload: dict[str, Any]) -> Mission | None:
    """The mission of this key, if there is one. Raises KeyReused, MissionArchived, InvalidInput (past its deadline)."""
    if wish.key is not None:
        if (known := Mission.objects.filter(idempotency_key=wish.key).first()) is not None:
            return _same(known, payload)
        _refuse_archived(wish.key)
    if wish.deadline_at is not None and wish.deadline_at <= database_now():
        errors = [{"field": "deadline_at", "message": "This time has passed."}]
        raise InvalidInput("The request can not be taken.", errors=errors)
    return None


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


def _insert(kind: MissionType, payload: dict[str, Any], wish: Wish) -> Mission | None:
    """Write it; None, and nothing is written, where its key was used before or its deadline has passed."""
    alone = not (wish.after or wish.child or wish.deadline_at or connection.in_atomic_block)
    with contextlib.nullcontext() if alone else transaction.atomic():
        awaited = dependencies.lock_awaited(wish.after, wish.child)  # first: docs/locking.md
        mission = Mission(
            type=kind.name, version=kind.version, idempotency_key=wish.key, priority=wish.priority, head_seq=1,
            waits_for=dependencies.waits_for(awaited), deadline_at=wish.deadline_at,
            parent=wish.child.parent_id if wish.child else None, effects_off=wish.effects_off,
        )
        now = _write(mission, payload, wish)
        if now is None:
            return None
        dependencies.write(mission.pk, awaited, wish.on_failure, now)
        if wish.child is not None:
            wish.child.child_id = mission.pk
            wish.child.save(force_insert=True)
        if wish.deadline_at is not None:
            alarms.set_alarm(f"{DEADLINE}:{mission.pk}", wish.deadline_at)
    return mission


def _write(mission: Mission, payload: dict[str, Any], wish: Wish) -> dt.datetime | None:
    """The rows, in one statement; fills in what the database gives, and returns its time. None where it was refused."""
    body, salt, request_hash = codec.dump(payload), chain.new_salt(), _request_hash(payload)
    digest = chain.digest(salt, body)
    stored = hashlib.sha256(body).digest() if len(body) > codec.INLINE_BYTES else None
    row = prepared.row("start", [
        mission.uid, mission.type, mission.version, wish.key, wish.priority, mission.parent, wish.deadline_at,
        mission.waits_for, wish.start_at, payload["title"], wish.started_by.pk if wish.started_by else None, wish.via,
        stored, body, Kind.STARTED.value, request_hash, salt, digest,
        *chain.around(chain.GENESIS, mission.uid, 1, 1, Kind.STARTED, "", request_hash, digest), feed.FEED, feed.DUE,
        mission.effects_off,
    ])
    if row is None:
        return None
    now: dt.datetime = row[1].astimezone(dt.UTC)
    mission.pk, mission._state.adding, mission._state.db = row[0], False, connection.alias
    if mission.waits_for:
        mission.state, mission.waits_since = State.WAITING, now
    else:
        mission.wake_at = max(wish.start_at, now) if wish.start_at else now
    return now
