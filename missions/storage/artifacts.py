"""Artifacts: named content that a mission keeps for good, beyond what fits into a result.

An artifact's content is durable before the entry that names it; entry, index row and use are one transaction.
"""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

from missions.engine.arrays import byteas, int4, int8
from missions.engine.session import Call
from missions.engine.writes import Head, Side
from missions.errors import InvalidInput
from missions.storage import blobs

LIMIT_BYTES = 256 * 1024 * 1024
UNKNOWN_TYPE = "application/octet-stream"
NAME_CHARACTERS, TYPE_CHARACTERS = 90, 100
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(; ?charset=[a-z0-9_-]+)?", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRef:
    """An artifact as results and arguments carry it."""

    name: str
    digest: str  # sha256 in hex
    size: int  # bytes
    media_type: str


def media_type_of(name: str, given: str) -> str:
    """The media type that is recorded: what was given, else what the name says. Raises InvalidInput."""
    known = given or mimetypes.guess_type(name)[0] or UNKNOWN_TYPE
    if len(known) > TYPE_CHARACTERS or not _TYPE.fullmatch(known):
        errors = [{"field": "media_type", "message": "Write it as in text/csv."}]
        raise InvalidInput(f"{known[:100]!r} is no media type.", errors=errors)
    return known


def digest_of(ref: Any) -> bytes:
    """The digest that a reference names: an ArtifactRef, its JSON, or the digest in hex. Raises InvalidInput."""
    text = ref.get("digest") if isinstance(ref, dict) else getattr(ref, "digest", ref)
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-f]{64}", text):
        raise InvalidInput("This names no artifact.", errors=[{"field": "digest", "message": "sha256 in hex"}])
    return bytes.fromhex(text)


def open_artifact(ref: Any) -> BinaryIO:
    """The content of an artifact as a binary stream; each MiB is fetched as it is read, in the calling thread's time.

    Raises InvalidInput, UnknownArtifact.
    """
    return blobs.opened(digest_of(ref))


def kept_with(ref: ArtifactRef) -> tuple[Side, ...]:
    """What goes with the entry that names an artifact: the index row, and the use."""
    digest = bytes.fromhex(ref.digest)
    words = ref.name.encode(), ref.media_type.encode()

    def index(head: Head) -> Call:
        fence = int8(head.mission_id), int4(head.attempt)
        return b"artifact_keep", (*fence, int4(head.seq), int4(head.timeline), *words, int8(ref.size), digest)

    return index, used([digest])


def used(digests: list[bytes]) -> Side:
    """The statement that says that the mission needs these blobs."""

    def use(head: Head) -> Call:
        return b"blob_use", (int8(head.mission_id), int4(head.attempt), byteas(digests))

    return use
