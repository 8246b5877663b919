"""Secrets that lie encrypted in the database, under keys that come from SECRET_KEY.

A value is written, replaced and deleted here, and shown to nobody: only `missions.secrets.references` reads it. A row
holds its own name under the cipher, so that rows can not be swapped. With SECRET_KEY lost, the values are lost.
"""

from __future__ import annotations

import base64
import json
import re

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction

from missions.errors import InvalidInput
from missions.models import Secret
from missions.models.fields import DatabaseNow
from missions.secrets import redacting

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
MOST = 64 * 1024  # characters
PURPOSE = b"standfast: secrets in the database"


def put(name: str, value: str, *, by: str) -> bool:
    """Keep a value under this name, in the place of the one before; whether there was one. Raises InvalidInput."""
    value = value.rstrip("\r\n")
    errors = [{"field": field, "message": message} for field, message in _wrong(name, value)]
    if errors:
        raise InvalidInput("This secret can not be kept.", errors=errors)
    sealed = _cipher().encrypt(json.dumps([name, value]).encode()).decode()
    redacting.remember(name, value)
    kept = {"ciphertext": sealed, "changed_by": by, "changed_at": DatabaseNow()}
    _, created = Secret.objects.update_or_create(name=name, defaults=kept)
    return not created


def drop(name: str) -> bool:
    """Delete the secret of this name; whether there was one."""
    return Secret.objects.filter(name=name).delete()[0] > 0


def find(name: str) -> tuple[str, str]:
    """The value and what is wrong with it, either empty."""
    row = Secret.objects.filter(name=name).first()
    if row is None:
        return "", "is not in the database; `manage.py secret set` keeps it there"
    try:
        inside, value = json.loads(_cipher().decrypt(row.ciphertext.encode()))
    except InvalidToken:
        return "", "was encrypted under another SECRET_KEY; list that in SECRET_KEY_FALLBACKS, or set the secret anew"
    return (value, "") if inside == name else ("", "lies under a name that is not its own")


def reseal() -> tuple[int, list[str]]:
    """Encrypt all under the present SECRET_KEY: how many, and the names of those that no key here opens."""
    cipher, done, lost = _cipher(), 0, []
    with transaction.atomic():
        for row in Secret.objects.select_for_update().order_by("name"):
            try:
                row.ciphertext = cipher.rotate(row.ciphertext.encode()).decode()
            except InvalidToken:
                lost.append(row.name)
                continue
            row.save(update_fields=["ciphertext"])
            done += 1
    return done, lost


def _wrong(name: str, value: str) -> list[tuple[str, str]]:
    found = []
    if not re.fullmatch(NAME, name):
        found.append(("name", "takes up to 100 letters, digits, dots, hyphens and underscores."))
    if not redacting.LEAST <= len(value) <= MOST:
        found.append(("value", f"has between {redacting.LEAST} and {MOST:,} characters."))
    if "\x00" in value:
        found.append(("value", "holds a NUL character."))
    return found


def _cipher() -> MultiFernet:
    """Encrypts under the present key, and opens what the ones before have sealed."""
    return MultiFernet([_fernet(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _fernet(key: str) -> Fernet:
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=PURPOSE).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
