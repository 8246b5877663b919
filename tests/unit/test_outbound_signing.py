"""Signatures: the convention's own arithmetic, secrets that are derived, keys that change."""

from __future__ import annotations

import base64
import hashlib
import hmac

from pytest_django import Settings

from approvals.outbound import signing


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver does it, from the text of the convention alone."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    told = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()
    return any(
        hmac.compare_digest(one, f"v1,{wanted}") for one in headers["webhook-signature"].split(" ")
    )


def test_a_receiver_with_the_secret_can_verify_and_nothing_may_be_changed() -> None:
    secret, headers = signing.secret("webhook:a"), signing.headers("webhook:a", "msg_1", 1_700_000_000, b"{}")
    assert secret.startswith("whsec_") and len(base64.b64decode(secret[6:])) == 32
    assert verified(secret, headers, b"{}")
    assert not verified(secret, headers, b"{ }")
    assert not verified(secret, {**headers, "webhook-id": "msg_2"}, b"{}")
    assert not verified(secret, {**headers, "webhook-timestamp": "1700000001"}, b"{}")
    assert not verified(signing.secret("webhook:b"), headers, b"{}")


def test_a_former_key_still_signs_after_the_key_has_changed(settings: Settings) -> None:
    settings.SECRET_KEY = "the first key of all"
    old = signing.secret("webhook:a")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the second key", ["the first key of all"]
    headers = signing.headers("webhook:a", "msg_1", 1, b"{}")
    assert old != signing.secret("webhook:a")
    assert verified(old, headers, b"{}") and verified(signing.secret("webhook:a"), headers, b"{}")


def test_callers_have_secrets_of_their_own() -> None:
    names = {signing.of_caller(1, None), signing.of_caller(2, None), signing.of_caller(1, 1), signing.of_caller(2, 1)}
    assert len({signing.secret(name) for name in names}) == len(names) == 3  # a token has one user
