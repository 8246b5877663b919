"""Claiming missions that are due, and loading what they need to go on, in one round trip."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.pq.abc import PGresult

from missions.engine import chain, codec
from missions.engine.arrays import TRUE, boolean, int4, int8, read_int, texts
from missions.engine.lane import Lane

STATEMENTS = ("claim", "load_missions", "load_entries", "load_signals", "next_due", "new_mail")


@dataclass(slots=True)
class Recorded:
    """A journal entry as replay sees it; the payload is decoded when it is needed."""

    seq: int
    kind: str
    path: str
    input_hash: bytes
    body: bytes
    recorded_at: dt.datetime

    @property
    def payload(self) -> dict[str, Any]:
        """The decoded payload."""
        decoded: dict[str, Any] = codec.load(self.body)
        return decoded


@dataclass(slots=True)
class Mail:
    """A signal in the mailbox."""

    seq: int
    name: str
    body: bytes
    sender: str


@dataclass(slots=True)
class Claimed:
    """A mission that is ours until we let go of it or die."""

    id: int
    uid: uuid.UUID
    type: str
    version: int
    attempt: int
    timeline: int
    chapter: int
    inbox_seq: int
    title: str
    started_by_id: int | None
    suspect: bool = False  # a backup was restored: its effects may have happened already
    entries: list[Recorded] = field(default_factory=list)
    mail: list[Mail] = field(default_factory=list)
    head_seq: int = 0
    link: bytes = chain.GENESIS


@dataclass(slots=True)
class Claim:
    """What one claim brought, and when to look again."""

    missions: list[Claimed]
    now: dt.datetime
    next_due: dt.datetime | None


def _cells(result: PGresult, row: int) -> list[bytes]:
    return [result.get_value(row, column) or b"" for column in range(result.nfields)]


def moment_of(value: bytes) -> dt.datetime:
    """A timestamptz in binary form."""
    return chain.moment(read_int(value))


def due_of(result: PGresult) -> tuple[dt.datetime, dt.datetime | None]:
    """The database's time and the next due time out of `next_due`."""
    upcoming = result.get_value(0, 1)
    return moment_of(result.get_value(0, 0) or b""), moment_of(upcoming) if upcoming else None


def mail_of(result: PGresult) -> list[tuple[int, Mail]]:
    """Pairs of mission id and signal out of `load_signals` or `new_mail`."""
    pairs = []
    for row in range(result.ntuples):
        mission_id, seq, name, body, sender = _cells(result, row)
        pairs.append((read_int(mission_id), Mail(read_int(seq), name.decode(), body, sender.decode())))
    return pairs


def _missions(result: PGresult) -> dict[int, Claimed]:
    found = {}
    for row in range(result.ntuples):
        id_, uid, type_, version, attempt, timeline, chapter, _, inbox, title, starter, suspect = _cells(result, row)
        found[read_int(id_)] = Claimed(
            id=read_int(id_), uid=uuid.UUID(bytes=uid), type=type_.decode(), version=read_int(version),
            attempt=read_int(attempt), timeline=read_int(timeline), chapter=read_int(chapter),
            inbox_seq=read_int(inbox), title=title.decode(), started_by_id=read_int(starter) or None,
            suspect=suspect == TRUE,
        )
    return found


def _add_entries(missions: dict[int, Claimed], result: PGresult) -> None:
    for row in range(result.ntuples):
        mission_id, seq, _, kind, path, input_hash, body, link, recorded_at = _cells(result, row)
        claimed = missions[read_int(mission_id)]
        claimed.head_seq, claimed.link = read_int(seq), link
        claimed.entries.append(
            Recorded(claimed.head_seq, kind.decode(), path.decode(), input_hash, body, moment_of(recorded_at))
        )


async def claim(
    lane: Lane, worker_id: int, limit: int, types: Sequence[str], *, quarantined: bool = False
) -> Claim:
    """Claim up to `limit` due missions of these types and load them, in quarantine or not. Raises Refused."""
    which = boolean(quarantined)
    me, known = int8(worker_id), texts([name.encode() for name in types])
    results = await lane.call(
        (b"claim", (me, int4(limit), known, which)), (b"load_missions", (me,)), (b"load_entries", (me,)),
        (b"load_signals", (me,)), (b"next_due", (known, which)),
    )
    missions = _missions(results[1])
    _add_entries(missions, results[2])
    for mission_id, mail in mail_of(results[3]):
        missions[mission_id].mail.append(mail)
    now, upcoming = due_of(results[4])
    return Claim(list(missions.values()), now, upcoming)
