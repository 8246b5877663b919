"""Where bundles lie: pieces in the database, or files in MISSIONS_ARCHIVE_DIR; addressed by sha256 of their bytes.

Promises: what `put` returned from is durable, and putting the same bytes again changes nothing. Never overwrites, never
deletes.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, cast

from django.conf import settings
from django.db import transaction

from missions.keeping.bundle import Damaged
from missions.models import BundlePiece

DATABASE, FOLDER = "database", "folder"
PIECE_BYTES = 1024 * 1024


def put(content: IO[bytes], digest: bytes) -> str:
    """Keep a bundle, durably; returns where it lies. Own transaction. Raises OSError."""
    content.seek(0)
    if settings.MISSIONS_ARCHIVE_DIR:
        _put_file(content, digest)
        return FOLDER
    with transaction.atomic():
        for number, piece in enumerate(iter(lambda: content.read(PIECE_BYTES), b"")):
            BundlePiece.objects.bulk_create(
                [BundlePiece(digest=digest, number=number, body=piece)], ignore_conflicts=True
            )
    return DATABASE


def _file(digest: bytes) -> Path:
    name = digest.hex()
    return Path(settings.MISSIONS_ARCHIVE_DIR) / name[:2] / f"{name}.jsonl.gz"


def _put_file(content: IO[bytes], digest: bytes) -> None:
    """Beside its place first, then synced, then renamed, then the folder synced: after a crash all of it or nothing."""
    place = _file(digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".", suffix=".part", delete=False) as file:
        for piece in iter(lambda: content.read(PIECE_BYTES), b""):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, place)
    for folder in (place.parent, place.parent.parent):
        _sync(folder)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def opened(digest: bytes, location: str) -> Iterator[IO[bytes]]:
    """The bytes of a bundle, to be read from the beginning. Raises Damaged where it is not there."""
    if location == DATABASE:
        with contextlib.closing(BufferedReader(_Pieces(digest), PIECE_BYTES)) as reader:
            yield cast(IO[bytes], reader)
        return
    if not settings.MISSIONS_ARCHIVE_DIR:
        raise Damaged("The bundle lies in a folder, and MISSIONS_ARCHIVE_DIR is not set.")
    try:
        with _file(digest).open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise Damaged(f"The bundle is missing: {_file(digest)}") from error


class _Pieces(RawIOBase):
    """The pieces of a bundle as one stream; one statement a piece."""

    def __init__(self, digest: bytes) -> None:
        self._digest, self._number, self._left, self._ended = digest, 0, memoryview(b""), False

    def readable(self) -> bool:
        return True

    def readinto(self, target: object) -> int:
        if not self._left and not self._ended:  # whoever unpacks reads beyond the end again and again
            piece = BundlePiece.objects.filter(digest=self._digest, number=self._number).first()
            self._number += 1
            self._left, self._ended = memoryview(bytes(piece.body) if piece else b""), piece is None
        into = memoryview(cast(bytearray, target)).cast("B")
        taken = min(len(into), len(self._left))
        into[:taken] = self._left[:taken]
        self._left = self._left[taken:]
        return taken
