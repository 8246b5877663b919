"""Seals: an HMAC over what a bundle is, with the seal before it, so that the archive is one chain.

Pure. The key is derived from SECRET_KEY for this purpose alone; keys that were in use before (SECRET_KEY_FALLBACKS)
still prove old seals.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac

from django.conf import settings
from django.utils.crypto import salted_hmac

from missions.engine import chain, codec
from missions.keeping.parts import Json

PURPOSE = "missions.keeping.seal"
FIRST = bytes(32)  # what stands before the first seal


def make(number: int, previous: bytes, digest: bytes, manifest: Json, sealed_at: dt.datetime) -> bytes:
    """The 32-byte seal of bundle `number`; `digest` is sha256 of its bytes."""
    return _seal(settings.SECRET_KEY, _facts(number, previous, digest, manifest, sealed_at))


def holds(
    seal: bytes, number: int, previous: bytes, digest: bytes, manifest: Json, sealed_at: dt.datetime
) -> bool:
    """Whether this seal was made here, of exactly this."""
    facts = _facts(number, previous, digest, manifest, sealed_at)
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(hmac.compare_digest(_seal(secret, facts), seal) for secret in secrets)


def _seal(secret: str | bytes, facts: bytes) -> bytes:
    return salted_hmac(PURPOSE, facts, secret=secret, algorithm="sha256").digest()


def _facts(number: int, previous: bytes, digest: bytes, manifest: Json, sealed_at: dt.datetime) -> bytes:
    return codec.dump({
        "number": number, "previous": previous.hex(), "bundle": digest.hex(),
        "manifest": hashlib.sha256(codec.dump(manifest)).hexdigest(), "sealed_at": chain.microseconds(sealed_at),
    })
