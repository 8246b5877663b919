"""Keeping content by its sha256 in portions of 1 MiB, and reading it again. Synchronous, through the ORM.

Memory is bounded by a portion, however large the content is. What is stored here belongs to no attempt: content under
its own digest can do no harm, so it need not go over the lane; the entry and the use that name it do.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

import psycopg
from django.db import connection, transaction

from missions.engine.statements import statement
from missions.engine.threads import closing
from missions.errors import PayloadTooLarge, UnknownArtifact
from missions.models import Blob, Portion
from missions.models.fields import DatabaseNow

PORTION_BYTES = 1024 * 1024
SPOOL_BYTES = 4 * PORTION_BYTES  # a stream that can not be read twice lies in memory up to here, beyond it in a file
Result = TypeVar("Result")
Content = bytes | str | Path | BinaryIO
# Reads on behalf of authors' code have threads of their own: they may come from any thread, and hold up no verb.
_readers = concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix="standfast-blob")


def aside(function: Callable[..., Result], *args: Any) -> concurrent.futures.Future[Result]:
    """Run something short in a thread of our own with its own database connection; from any thread."""
    return _readers.submit(closing, function, *args)


@dataclass(slots=True)
class Source:
    """Content that was measured and can be read again from `start`."""

    stream: IO[bytes]
    start: int
    digest: bytes
    size: int
    ours: bool  # to be closed by us

    def close(self) -> None:
        """Let go of it."""
        if self.ours:
            self.stream.close()


def measured(content: Content, limit: int, what: str) -> Source:
    """Open content and take its sha256. Raises PayloadTooLarge as soon as it is over `limit` bytes, OSError."""
    stream, ours = _opened(content, limit, what)
    try:
        start, hashed, size = stream.tell(), hashlib.sha256(), 0
        for portion in _read(stream):
            size += len(portion)
            if size > limit:
                raise PayloadTooLarge(f"{what} takes more than {limit:,} bytes, which is the limit; it was not kept.")
            hashed.update(portion)
    except BaseException:
        if ours:
            stream.close()
        raise
    return Source(stream, start, hashed.digest(), size, ours)


def _opened(content: Content, limit: int, what: str) -> tuple[IO[bytes], bool]:
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, bytes):
        return io.BytesIO(content), True
    if isinstance(content, Path):
        return content.open("rb"), True
    if content.seekable():
        return content, False
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115  (the source closes it)
    for portion in _read(content):
        spool.write(portion)
        if spool.tell() > limit:
            break  # `measured` says so
    spool.seek(0)
    return spool, True


def _read(stream: IO[bytes]) -> Iterator[bytes]:
    while portion := stream.read(PORTION_BYTES):
        yield portion


def store(source: Source) -> None:
    """Keep measured content, all of it or nothing; content that is there already is marked as wanted again.

    May be repeated. Raises ValueError where the content has changed since it was measured.
    """
    if Blob.objects.filter(pk=source.digest).update(stored_at=DatabaseNow()):
        return
    with transaction.atomic():
        _, new = Blob.objects.get_or_create(digest=source.digest, defaults={"size": source.size})
        if new:
            _store_portions(source)


def _store_portions(source: Source) -> None:
    source.stream.seek(source.start)
    hashed, cursor, insert = hashlib.sha256(), psycopg.RawCursor(connection.connection), statement("portion_store")
    for number, portion in enumerate(_read(source.stream)):
        hashed.update(portion)
        cursor.execute(insert.encode(), [source.digest, number, psycopg.Binary(portion)], prepare=False)
    if hashed.digest() != source.digest:
        raise ValueError("The content changed while it was being kept.")


def size_of(digest: bytes) -> int:
    """The size of a blob in bytes. Raises UnknownArtifact."""
    found = Blob.objects.filter(pk=digest).values_list("size", flat=True).first()
    if found is None:
        raise UnknownArtifact(f"There is no content {digest.hex()[:12]}….")
    return int(found)


def portion(digest: bytes, number: int) -> bytes:
    """One portion of a blob. Raises UnknownArtifact."""
    body = Portion.objects.filter(digest=digest, number=number).values_list("body", flat=True).first()
    if body is None:
        raise UnknownArtifact(f"Portion {number} of the content {digest.hex()[:12]}… is gone.")
    return bytes(body)


def portions(digest: bytes) -> Iterator[bytes]:
    """A blob from its beginning, a portion at a time. Raises UnknownArtifact."""
    for number in range(-(-size_of(digest) // PORTION_BYTES)):
        yield portion(digest, number)


class BlobStream(io.RawIOBase):
    """A blob as a stream that can be read and sought, from any thread; holds one portion in memory."""

    def __init__(self, digest: bytes) -> None:
        """Raises UnknownArtifact."""
        super().__init__()
        self._digest, self._place = digest, 0
        self._size: int = aside(size_of, digest).result()
        self._number, self._body = -1, b""

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The place that is read next."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; as for any stream."""
        self._place = max(0, (0, self._place, self._size)[whence] + offset)
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as the current portion goes."""
        if self._place >= self._size:
            return 0
        number, offset = divmod(self._place, PORTION_BYTES)
        if number != self._number:
            self._body = aside(portion, self._digest, number).result()
            self._number = number
        taken = self._body[offset : offset + len(buffer)]
        buffer[: len(taken)] = taken
        self._place += len(taken)
        return len(taken)


def opened(digest: bytes) -> BinaryIO:
    """A blob as a buffered binary stream. Raises UnknownArtifact."""
    return io.BufferedReader(BlobStream(digest))
