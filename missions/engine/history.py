"""Reading the journal from outside the engine: decoded entries, and the verification of the chain.

Synchronous, through the ORM; reads only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from missions.engine import chain, codec
from missions.models import Entry, Mission, Payload

PORTION = 500  # entries read at once

@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One journal entry, its payload decoded; digest and chain in hex."""

    mission_id: int
    seq: int
    tx: int
    timeline: int
    kind: str
    path: str
    payload: dict[str, Any]
    digest: str
    chain: str
    attempt: int
    recorded_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` found: the number of entries read, and the first seq whose link does not hold."""

    ok: bool
    entries: int
    broken_at: int | None = None
    reason: str = ""


def entries(mission_id: int, after: int = 0, limit: int | None = None) -> list[HistoryEntry]:
    """A mission's entries with seq > `after`, in order of seq."""
    rows = Entry.objects.filter(mission_id=mission_id, seq__gt=after).order_by("seq")
    return decode(list(rows[:limit] if limit is not None else rows))


def stream(mission_id: int, after: int = 0) -> Iterator[HistoryEntry]:
    """The same as `entries`, a portion at a time, so that memory stays flat however long the history."""
    while portion := entries(mission_id, after, limit=PORTION):
        yield from portion
        after = portion[-1].seq


def decode(rows: list[Entry]) -> list[HistoryEntry]:
    """Rows of the journal as read by people and programs; one statement more where payloads lie in the store."""
    wanted = [bytes(row.stored) for row in rows if row.payload is None and row.stored is not None]
    bodies = {bytes(item.digest): bytes(item.body) for item in Payload.objects.filter(pk__in=wanted)} if wanted else {}
    return [_decoded(row, bodies) for row in rows]


def _decoded(row: Entry, bodies: dict[bytes, bytes]) -> HistoryEntry:
    body = _body(row, bodies)
    return HistoryEntry(
        mission_id=row.mission_id, seq=row.seq, tx=row.tx, timeline=row.timeline, kind=row.kind, path=row.path,
        payload=codec.load(body) if body is not None else {"redacted": True}, digest=bytes(row.digest).hex(),
        chain=bytes(row.chain).hex(), attempt=row.attempt, recorded_at=row.recorded_at,
    )


def _body(row: Entry, bodies: dict[bytes, bytes]) -> bytes | None:
    if row.payload is not None:
        return bytes(row.payload)
    return bodies.get(bytes(row.stored)) if row.stored is not None else None


def verify(mission: Mission) -> Verification:
    """Recompute the chain of a mission; names the first broken link. Streams, so memory stays flat."""
    previous, count = chain.GENESIS, 0
    for row, body in _with_bodies(mission.pk):
        if row.seq != count + 1:
            return Verification(ok=False, entries=count, broken_at=count + 1, reason=f"Entry {count + 1} is missing.")
        found = fault(mission, row, body, previous)
        if found:
            return Verification(ok=False, entries=count, broken_at=row.seq, reason=found)
        previous, count = bytes(row.chain), row.seq
    if count < mission.head_seq:
        return Verification(ok=False, entries=count, broken_at=count + 1, reason=f"Entry {count + 1} is missing.")
    return Verification(ok=True, entries=count)


def _with_bodies(mission_id: int) -> Iterator[tuple[Entry, bytes | None]]:
    for row in Entry.objects.filter(mission_id=mission_id).order_by("seq").iterator(chunk_size=500):
        stored = Payload.objects.filter(pk=bytes(row.stored)).first() if row.stored is not None else None
        body = bytes(stored.body) if stored else bytes(row.payload) if row.payload is not None else None
        yield row, body


def fault(mission: Mission, row: Entry, body: bytes | None, previous: bytes) -> str:
    """Why a link does not hold; empty where it does."""
    if body is None or row.salt is None:
        return f"The payload of entry {row.seq} is missing."
    if chain.digest(bytes(row.salt), body) != bytes(row.digest):
        return f"The payload of entry {row.seq} was changed."
    expected = chain.link(
        previous, mission.uid, row.seq, row.timeline, row.kind, row.path, bytes(row.input_hash), bytes(row.digest),
        chain.microseconds(row.recorded_at),
    )
    return "" if expected == bytes(row.chain) else f"Entry {row.seq} does not follow from the one before."
