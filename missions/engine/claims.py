"""Claiming missions that are due, and loading what they need to go on, in one round trip."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from psycopg.pq.abc import PGresult

from missions.engine import chain, codec
from missions.engine.arrays import TRUE, int4, int8, int8s, read_int
from missions.engine.lane import Lane
from missions.engine.places import STATEMENTS as PLACES
from missions.engine.places import Places, known_types

OF_TIMELINES = ("load_timelines", "load_standing")
STATEMENTS = (
    "unflushed", "claim", "load_missions", "load_entries", "load_signals", "next_due", "new_mail", "more_entries",
    "control_entries", *OF_TIMELINES, *PLACES,
)
PORTION = 1000  # entries of a mission that are loaded at once
CONTROL = "control"  # the name of signals that are controls, and the first part of the paths of what they record


@dataclass(slots=True)
class Recorded:
    """A journal entry as replay sees it; the payload is decoded when it is needed."""

    seq: int
    timeline: int
    kind: str
    path: str
    input_hash: bytes
    body: bytes
    micros: int  # when, since 2000

    @property
    def recorded_at(self) -> dt.datetime:
        """When it was recorded, by the database's clock."""
        return chain.moment(self.micros)

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


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of an effect that an earlier timeline had at some path: its last generation."""

    generation: int
    timeline: int
    state: str
    key: str
    args_digest: str
    outcome_seq: int
    seq: int


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
    control_seq: int
    control_done: int
    title: str
    started_by_id: int | None
    head_seq: int
    last_kind: str  # of its newest entry, on whatever timeline
    link: bytes
    held: str = ""  # what keeps it from beginning: `mission:ID`, or `fail:STATE:ID`, `hold:STATE:ID`
    start_at: dt.datetime | None = None  # where that is still to come
    effects_off: bool = False  # a fork that may not change the world
    suspect: bool = False  # a backup was restored: its effects may have happened already
    entries: list[Recorded] = field(default_factory=list)  # the first portion, of its timeline and chapter
    mail: list[Mail] = field(default_factory=list)
    controls: list[Mail] = field(default_factory=list)  # that nobody has taken, the oldest first
    seeds: dict[int, uuid.UUID] = field(default_factory=dict)  # of timelines that have one of their own
    guidance: dict[int, str] = field(default_factory=dict)  # what people said as they opened a timeline
    standing: dict[tuple[int, str], Standing] = field(default_factory=dict)  # by chapter and path


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


def entries_of(result: PGresult) -> Iterator[tuple[int, Recorded]]:
    """Pairs of mission id and entry out of `load_entries` and its like."""
    get = result.get_value
    for row in range(result.ntuples):
        yield read_int(get(row, 0) or b""), Recorded(
            read_int(get(row, 1) or b""), read_int(get(row, 2) or b""), (get(row, 3) or b"").decode(),
            (get(row, 4) or b"").decode(), get(row, 5) or b"", get(row, 6) or b"", read_int(get(row, 7) or b""),
        )


def _missions(result: PGresult) -> dict[int, Claimed]:
    found = {}
    for row in range(result.ntuples):
        id_, uid, type_, version, attempt, timeline, chapter, *rest = _cells(result, row)
        inbox, control, done, title, starter, off, suspect, head, last, link, held, start_at = rest
        found[read_int(id_)] = Claimed(
            id=read_int(id_), uid=uuid.UUID(bytes=uid), type=type_.decode(), version=read_int(version),
            attempt=read_int(attempt), timeline=read_int(timeline), chapter=read_int(chapter),
            inbox_seq=read_int(inbox), control_seq=read_int(control), control_done=read_int(done),
            title=title.decode(), started_by_id=read_int(starter) or None, head_seq=read_int(head),
            last_kind=last.decode(), link=link, effects_off=off == TRUE, suspect=suspect == TRUE, held=held.decode(),
            start_at=moment_of(start_at) if start_at else None,
        )
    return found


def _add_history(missions: dict[int, Claimed], timelines: PGresult, standing: PGresult) -> None:
    for row in range(timelines.ntuples):
        mission_id, number, seed, guidance = _cells(timelines, row)
        claimed = missions[read_int(mission_id)]
        claimed.seeds[read_int(number)] = uuid.UUID(bytes=seed)
        claimed.guidance[read_int(number)] = guidance.decode()
    for row in range(standing.ntuples):
        mission_id, chapter, path, generation, timeline, state, key, digest, outcome, seq = _cells(standing, row)
        missions[read_int(mission_id)].standing[read_int(chapter), path.decode()] = Standing(
            read_int(generation), read_int(timeline), state.decode(), key.decode(), digest.decode(),
            read_int(outcome), read_int(seq),
        )


async def claim(lane: Lane, worker_id: int, limit: int, places: Places) -> Claim:
    """Claim up to `limit` due missions of the types that have places, and load them. Raises Refused."""
    me = int8(worker_id)
    loads = (
        (b"load_missions", (me,)), (b"load_entries", (me, int4(PORTION))), (b"load_signals", (me,)),
        (b"next_due", (*known_types(places.open), places.quarantined)),
    )
    results = await lane.call((b"unflushed", ()), *places.claims(worker_id, limit), *loads)
    _, *claimed, briefs, entries, signals, upcoming_at = results
    if len(claimed) > 1:
        places.learn(claimed[-1])
    missions = _missions(briefs)
    for mission_id, entry in entries_of(entries):
        missions[mission_id].entries.append(entry)
    for mission_id, mail in mail_of(signals):
        one = missions[mission_id]
        (one.controls if mail.name == CONTROL else one.mail).append(mail)
    if several := [one.id for one in missions.values() if one.timeline > 1]:  # few; nobody else writes these rows
        _add_history(missions, *await lane.call(*((name.encode(), (int8s(several),)) for name in OF_TIMELINES)))
    now, upcoming = due_of(upcoming_at)
    return Claim(list(missions.values()), now, upcoming)


async def more_entries(lane: Lane, claimed: Claimed, after: int) -> list[Recorded]:
    """The portion of the history that follows `after`. Raises Refused."""
    call = (int8(claimed.id), int4(claimed.timeline), int4(after), int4(PORTION))
    return [entry for _, entry in entries_of((await lane.call((b"more_entries", call)))[0])]


async def control_entries(lane: Lane, claimed: Claimed, prefix: str) -> list[Recorded]:
    """What the control program under this path prefix has recorded. Raises Refused."""
    call = (int8(claimed.id), prefix.encode())
    return [entry for _, entry in entries_of((await lane.call((b"control_entries", call)))[0])]
