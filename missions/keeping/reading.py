"""Looking into the archive: which seal is a mission's newest, and its journal as it was. Reads only."""

from __future__ import annotations

import base64
import uuid
from itertools import islice

from missions.engine import codec
from missions.engine.history import HistoryEntry
from missions.keeping import parts, rows, verifying
from missions.models import Archived, Entry


def latest(uid: uuid.UUID) -> Archived | None:
    """The newest seal of a mission, wherever its rows are now; None where it was never archived."""
    return Archived.objects.filter(uid=uid).order_by("-number").first()


def gone(uid: uuid.UUID) -> Archived | None:
    """The seal under which a mission has left; None where its rows are in their place, or never were."""
    return Archived.objects.filter(uid=uid, removed_at__isnull=False, returned_at=None).first()


def journal(archived: Archived, limit: int) -> list[HistoryEntry]:
    """The first entries of an archived mission, decoded. Raises Damaged where the bundle can not be read so far."""
    told = (row for name, row in verifying.contents(archived) if name == parts.HOT)
    return [_decoded(row) for row in islice(told, limit)]


def _decoded(row: parts.Json) -> HistoryEntry:
    entry = rows.load(Entry, row)
    body = base64.b64decode(row["body"]) if row.get("body") else entry.payload
    return HistoryEntry(
        mission_id=entry.mission_id, seq=entry.seq, tx=entry.tx, timeline=entry.timeline, kind=entry.kind,
        path=entry.path, payload=codec.load(bytes(body)) if body is not None else {"redacted": True},
        digest=bytes(entry.digest).hex(), chain=bytes(entry.chain).hex(), attempt=entry.attempt,
        recorded_at=entry.recorded_at,
    )
