"""Signatures of webhooks by the Standard Webhooks convention, version 1.0.0
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).

The symmetric scheme: `v1,` and the base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`; secrets are
written `whsec_` and the base64 of 32 bytes. Secrets are derived, never stored: whoever reads the database has none.
After the installation's key has changed, its former ones (SECRET_KEY_FALLBACKS) sign beside it, as the header allows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from django.conf import settings

MARK = "whsec_"


def secret(name: str) -> str:
    """The secret of this name under the installation's key of now, as its owner keeps it."""
    return secrets(name)[0]


def secrets(name: str) -> list[str]:
    """The secrets of this name under the installation's key of now and its former ones."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [MARK + base64.b64encode(_derived(key, name)).decode() for key in keys]


def headers(name: str, message: str, seconds: int, body: bytes) -> dict[str, str]:
    """What identifies, dates and signs a message; `seconds` since the Unix epoch."""
    told = f"{message}.{seconds}.".encode() + body
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    signatures = " ".join(f"v1,{_signature(_derived(key, name), told)}" for key in keys)
    return {"webhook-id": message, "webhook-timestamp": str(seconds), "webhook-signature": signatures}


def of_webhook(salt: str) -> str:
    """The name of a webhook's secret."""
    return f"webhook:{salt}"


def of_caller(user_id: int, token_id: int | None) -> str:
    """The name of the secret that signs callbacks to one caller: an API token, or a signed-in person."""
    return f"callback:token:{token_id}" if token_id is not None else f"callback:person:{user_id}"


def _derived(key: str, name: str) -> bytes:
    return hmac.new(key.encode(), f"approvals.outbound.signing/{name}".encode(), hashlib.sha256).digest()


def _signature(secret_bytes: bytes, told: bytes) -> str:
    return base64.b64encode(hmac.new(secret_bytes, told, hashlib.sha256).digest()).decode()
