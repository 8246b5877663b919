"""Whether a message was signed with one of a hook's secrets, and what tells it from others. Pure.

Three schemes: Standard Webhooks (id, time and body; as `approvals.outbound.signing` signs), the body alone with a
hexadecimal HMAC-SHA256 in a header, and time and body in one header. Only what is signed tells messages apart: where
the id is not, the body's digest does.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from approvals.models.inbound import Scheme
from approvals.outbound.signing import MARK

HEADER_OF: Final = {Scheme.BODY: "x-hub-signature-256", Scheme.STAMPED: "stripe-signature"}
SIGNATURES: Final = 16  # that one header may hold
ID_LENGTH: Final = 190


class Unsigned(Exception):
    """The message is not signed, not with our secret, or not of now; says which, for who keeps the hook."""


@dataclass(frozen=True, slots=True)
class Message:
    """What arrived; names of headers in small letters."""

    headers: Mapping[str, str]
    body: bytes


def key_of(message: Message, scheme: str, header: str, secrets: Sequence[str], now: float, tolerance: float) -> str:
    """What tells the message from others. `now` in seconds since the epoch. Raises Unsigned."""
    if scheme == Scheme.STANDARD:
        return _standard(message, secrets, now, tolerance)
    given = message.headers.get(header or HEADER_OF[Scheme(scheme)], "")
    if not given:
        raise Unsigned(f"It came without the header {header or HEADER_OF[Scheme(scheme)]}.")
    if scheme == Scheme.BODY:
        _match([given.removeprefix("sha256=")], message.body, secrets)
    else:
        stamp, signatures = _stamped(given)
        _match(signatures, f"{stamp}.".encode() + message.body, secrets)
        _of_now(stamp, now, tolerance)
    return f"sha256:{hashlib.sha256(message.body).hexdigest()}"


def _standard(message: Message, secrets: Sequence[str], now: float, tolerance: float) -> str:
    id_, stamp = message.headers.get("webhook-id", ""), message.headers.get("webhook-timestamp", "")
    if not id_ or len(id_) > ID_LENGTH or not id_.isprintable():
        raise Unsigned("It came without a usable header webhook-id.")
    told = f"{id_}.{stamp}.".encode() + message.body
    given = message.headers.get("webhook-signature", "").split(" ")[:SIGNATURES]
    wanted = [base64.b64encode(_hmac(_raw(one), told)).decode() for one in secrets]
    _any([one.removeprefix("v1,") for one in given if one.startswith("v1,")], wanted)
    _of_now(stamp, now, tolerance)
    return f"id:{id_}"


def _stamped(given: str) -> tuple[str, list[str]]:
    parts = [part.strip().partition("=") for part in given.split(",")[:SIGNATURES]]
    stamp = next((value for name, _, value in parts if name == "t"), "")
    return stamp, [value for name, _, value in parts if name == "v1"]


def _match(given: Sequence[str], told: bytes, secrets: Sequence[str]) -> None:
    _any([one.lower() for one in given], [_hmac(one.encode(), told).hex() for one in secrets])


def _any(given: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises Unsigned unless one of the given is one of the wanted; takes as long whichever it is."""
    found = [hmac.compare_digest(one.encode(), other.encode()) for one in given for other in wanted]
    if not any(found):
        raise Unsigned("Its signature is not of this hook's secret.")


def _of_now(stamp: str, now: float, tolerance: float) -> None:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        raise Unsigned(f"It is signed for another time than now: {stamp[:20] or 'none'}.")
    if abs(now - int(stamp)) > tolerance:
        at = dt.datetime.fromtimestamp(int(stamp), dt.UTC)
        raise Unsigned(f"It is signed for another time than now: {at:%d %b %Y, %H:%M:%S} UTC.")


def _hmac(key: bytes, told: bytes) -> bytes:
    return hmac.new(key, told, hashlib.sha256).digest()


def _raw(secret: str) -> bytes:
    """The bytes of a secret as Standard Webhooks writes it; another text stands for itself."""
    if not secret.startswith(MARK):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(MARK), validate=True)
    except binascii.Error:
        return secret.encode()
