"""Whether an archived mission is whole: its bytes, its parts, its journal's chain, its seal, and the seal before.

Reads only; memory stays flat but for the largest single row.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import IO

from missions.engine import chain, history
from missions.engine.history import Verification
from missions.keeping import bundle, parts, rows, seal, shelf
from missions.keeping.parts import Json
from missions.models import Archived, Entry, Mission


class _Hashed:
    """A stream that hashes what is read through it."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner, self.hash = inner, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read like a file."""
        data = self._inner.read(size)
        self.hash.update(data)
        return data


def contents(archived: Archived) -> Iterator[tuple[str, Json]]:
    """The rows of an archived mission with the names of their parts; the manifest comes last.

    Raises Damaged, at the end at the latest, where they are not what was sealed.
    """
    with shelf.opened(bytes(archived.digest), archived.location) as stored:
        hashed = _Hashed(stored)
        yield from bundle.read(hashed)  # type: ignore[arg-type]  # gzip asks for no more than `read`
        hashed.read()
    if hashed.hash.digest() != bytes(archived.digest):
        raise bundle.Damaged("The bundle's bytes are not those that were sealed.")


def verify(archived: Archived) -> Verification:
    """Read a bundle from end to end and prove it; names what does not hold."""
    if not _seal_holds(archived):
        return Verification(ok=False, entries=0, reason="The seal does not hold.")
    if not _follows(archived):
        return Verification(ok=False, entries=0, reason="The seal does not follow from the one before.")
    try:
        return _journal(archived)
    except bundle.Damaged as error:
        return Verification(ok=False, entries=0, reason=str(error))


def _seal_holds(archived: Archived) -> bool:
    return seal.holds(
        bytes(archived.seal), archived.number, bytes(archived.previous), bytes(archived.digest), archived.manifest,
        archived.sealed_at,
    )


def _follows(archived: Archived) -> bool:
    before = Archived.objects.filter(number=archived.number - 1).first()
    return bytes(archived.previous) == (bytes(before.seal) if before else seal.FIRST if archived.number == 1 else b"")


def _journal(archived: Archived) -> Verification:
    """Recompute the chain over the entries of a bundle. Raises Damaged."""
    mission, previous, count, broken = Mission(uid=archived.uid), chain.GENESIS, 0, ""
    for name, row in contents(archived):
        if name == "manifest" and row != archived.manifest:
            raise bundle.Damaged("The bundle's manifest is not the one that was sealed.")
        if name != parts.HOT or broken:
            continue
        entry = rows.load(Entry, row)
        body = base64.b64decode(row["body"]) if row.get("body") else entry.payload
        broken = f"Entry {count + 1} is missing." if entry.seq != count + 1 else ""
        broken = broken or history.fault(mission, entry, bytes(body) if body is not None else None, previous)
        previous, count = (previous, count) if broken else (bytes(entry.chain), entry.seq)
    if broken or (count, previous) != (archived.entries, bytes(archived.chain_head)):
        return Verification(ok=False, entries=count, broken_at=count + 1, reason=broken or "The chain ends elsewhere.")
    return Verification(ok=True, entries=count)
