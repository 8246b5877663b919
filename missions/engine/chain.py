"""The hash chain over a mission's entries.

Pure. A link covers the uid, seq, timeline, kind, path, input hash, the salted payload digest and the time: never the
payload itself, so that a redaction which destroys payload and salt leaves the chain whole.
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from collections.abc import Iterator
from hashlib import sha256
from os import urandom  # by name: the guard puts a slower reader into the module

GENESIS = bytes(32)
SALT_BYTES = 16
EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # PostgreSQL's own, so that times need no conversion on the wire
_head = struct.Struct(">qiiHHH")


def new_salt() -> bytes:
    """Fresh random bytes for one entry."""
    return urandom(SALT_BYTES)


def new_salts(count: int) -> Iterator[bytes]:
    """Salts for a batch of entries, for one call of the system."""
    pool = urandom(SALT_BYTES * count)
    return (pool[at:at + SALT_BYTES] for at in range(0, len(pool), SALT_BYTES))


def digest(salt: bytes, payload: bytes) -> bytes:
    """What stands for the payload in the chain; without the salt nothing can be guessed from it."""
    return sha256(salt + payload).digest()


def microseconds(at: dt.datetime) -> int:
    """Whole microseconds since `EPOCH`."""
    return (at - EPOCH) // dt.timedelta(microseconds=1)


def moment(micros: int) -> dt.datetime:
    """The inverse of `microseconds`."""
    return EPOCH + dt.timedelta(microseconds=micros)


def link(
    previous: bytes, uid: uuid.UUID, seq: int, timeline: int, kind: str, path: str, input_hash: bytes,
    payload_digest: bytes, recorded_micros: int,
) -> bytes:
    """The 32-byte link of one entry. Lengths are part of the hash, so that no two fields can run into each other."""
    return link_bytes(
        previous, uid.bytes, seq, timeline, kind.encode(), path.encode(), input_hash, payload_digest, recorded_micros
    )


def link_bytes(
    previous: bytes, uid: bytes, seq: int, timeline: int, kind: bytes, path: bytes, input_hash: bytes,
    payload_digest: bytes, recorded_micros: int,
) -> bytes:
    """`link` for those who have the bytes at hand."""
    head = _head.pack(recorded_micros, seq, timeline, len(kind), len(path), len(input_hash))
    return sha256(previous + uid + head + kind + path + input_hash + payload_digest).digest()


def around(
    previous: bytes, uid: uuid.UUID, seq: int, timeline: int, kind: str, path: str, input_hash: bytes,
    payload_digest: bytes,
) -> tuple[bytes, bytes]:
    """What `link` hashes before and after its eight bytes of time, for an entry whose time the database gives."""
    kind_bytes, path_bytes = kind.encode(), path.encode()
    head = _head.pack(0, seq, timeline, len(kind_bytes), len(path_bytes), len(input_hash))
    return previous + uid.bytes, b"".join((head[8:], kind_bytes, path_bytes, input_hash, payload_digest))
