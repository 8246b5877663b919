"""Hooks: making, changing, giving another secret, dropping. Owns their rows and their versions; takes no events.

For operators and administrators, who are checked by the caller. An event does what its hook's owner may do, and whoever
changes a hook is its owner from then on.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from approvals.inbound import mapping
from approvals.inbound.mapping import Content
from approvals.models.inbound import Arrival, Hook, HookVersion
from approvals.outbound import signing, spreading
from missions.engine.clock import database_now
from missions.errors import InvalidInput, StandfastError
from missions.secrets import references
from missions.web.access import visible_missions

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
RESERVED = ("new",)  # addresses of pages
FORMER = dt.timedelta(days=1)  # how long the secret before counts, so that the sender can be changed in peace

may_keep = spreading.may_keep  # who keeps webhooks out keeps hooks in


class UnknownHook(StandfastError):
    """There is no such hook, or the message is not signed for it; nothing was done."""

    code = "unknown_hook"


def make(name: str, *, by: User, **values: Any) -> tuple[Hook, str]:
    """A new hook and its secret, which is told only now. Own transaction. Raises InvalidInput, field by field."""
    wrong = [] if NAME.fullmatch(name) and name not in RESERVED else [
        mapping.fault("name", "Up to 100 small letters, digits, - and _, first a letter or a digit; not `new`.")
    ]  # fmt: skip
    try:
        said = mapping.content(values)
    except InvalidInput as error:
        raise InvalidInput("Nothing was kept.", errors=[*wrong, *error.errors]) from error
    if wrong:
        raise InvalidInput("Nothing was kept.", errors=wrong)
    try:
        with transaction.atomic():
            hook = Hook.objects.create(name=name, number=1, salt=secrets.token_hex(16), owner=by)
            _write(hook, said, by)
    except IntegrityError as error:
        raise InvalidInput(
            "Nothing was kept.", errors=[mapping.fault("name", "There is a hook of this name.")]
        ) from error
    return hook, own_secret(hook)


def change(hook: Hook, *, by: User, **values: Any) -> Hook:
    """A new version with what is given changed; none where nothing differs. Own transaction. Raises InvalidInput."""
    with transaction.atomic():
        locked = Hook.objects.select_for_update().get(pk=hook.pk)
        before = said_by(locked)
        said = mapping.content({**asdict(before), **values})
        if said == before:
            return locked
        locked.number, locked.owner = locked.number + 1, by
        locked.save(update_fields=["number", "owner"])
        _write(locked, said, by)
    return locked


def _write(hook: Hook, said: Content, by: User) -> None:
    HookVersion.objects.create(hook=hook, number=hook.number, content=asdict(said), by=by)


def said_by(hook: Hook) -> Content:
    """What the version that counts says."""
    return Content(**hook.versions.get(number=hook.number).content)


def renew(hook: Hook) -> str:
    """Another secret; the one before counts for a day. Own transaction."""
    with transaction.atomic():
        locked = Hook.objects.select_for_update().get(pk=hook.pk)
        locked.former_salt, locked.former_until = locked.salt, database_now() + FORMER
        locked.salt = secrets.token_hex(16)
        locked.save(update_fields=["salt", "former_salt", "former_until"])
    return own_secret(locked)


def own_secret(hook: Hook) -> str:
    """The secret that is derived for it now."""
    return signing.secret(_name(hook.salt))


def secrets_of(hook: Hook, said: Content, now: dt.datetime) -> list[str]:
    """All secrets that count. Raises SecretMissing where they are elsewhere, and not there."""
    if said.secret:
        return [references.resolve(said.secret)]
    salts = [hook.salt]
    if hook.former_until is not None and now < hook.former_until:
        salts.append(hook.former_salt)
    return [one for salt in salts for one in signing.secrets(_name(salt))]


def find(name: str) -> Hook:
    """Raises UnknownHook."""
    found = Hook.objects.select_related("owner").filter(name=name).first()
    if found is None:
        raise UnknownHook
    return found


def arrivals(hook: Hook) -> QuerySet[Arrival]:
    """The events that came, the newest first."""
    return hook.arrivals.order_by("-pk")


def shown(rows: list[Arrival], reader: User) -> list[Arrival]:
    """The rows, without the missions that this person may not see."""
    wanted = [row.mission for row in rows if row.mission]
    seen = set(visible_missions(reader).filter(uid__in=wanted).values_list("uid", flat=True)) if wanted else set()
    for row in rows:
        row.mission = row.mission if row.mission in seen else None
    return rows


def forget(before: dt.datetime) -> int:
    """Forget arrivals whose last time is before this; how many."""
    return Arrival.objects.filter(last_at__lt=before).delete()[0]


def _name(salt: str) -> str:
    return f"hook:{salt}"
