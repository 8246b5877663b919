"""What a mission asks the lane to write, and how a batch of it becomes statements.

Pure but for the salts: assigns seq and chain when the batch is built, so that order of commit is order of seq.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from missions.engine import arrays, chain
from missions.engine.codec import INLINE_BYTES
from missions.engine.session import Call

PACK: tuple[Callable[[Any], bytes], ...] = (
    arrays.int8s, *[arrays.int4s] * 3, *[arrays.texts] * 2, *[arrays.byteas] * 6,
)
ROW_BYTES = 300  # what an entry takes beside its payload, for the bound on a batch


@dataclass(slots=True)
class Head:
    """The end of one mission's journal as its owner knows it; moves only when a batch is built."""

    mission_id: int
    uid: uuid.UUID
    attempt: int
    timeline: int
    seq: int
    link: bytes
    name: bytes = field(init=False)  # the uid, as every link takes it

    def __post_init__(self) -> None:
        self.name = self.uid.bytes

    @property
    def fence(self) -> tuple[int, int]:
        """The mission and the attempt that may write to it."""
        return self.mission_id, self.attempt


@dataclass(slots=True, kw_only=True)
class Draft:
    """An entry before it has a place."""

    kind: str
    path: str
    payload: bytes
    input_hash: bytes = b""


@dataclass(slots=True, kw_only=True)
class OpenEffect:
    """The effect whose intent is the first draft of its write."""

    id: uuid.UUID
    chapter: int
    path: str
    generation: int
    tool: str
    key: str
    args_digest: str
    effect_class: str
    retry_safety: str
    compensate: str
    deadline_at: dt.datetime


@dataclass(slots=True, kw_only=True)
class SettleEffect:
    """What became of the effect with this key; its entry is the last draft of its write."""

    key: str
    state: str


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How the mission ended; `data` is JSON text without NUL."""

    verdict: str = ""
    summary: str = ""
    data: bytes = b"{}"
    error: str = ""


@dataclass(slots=True, kw_only=True)
class Turn:
    """What changes about a mission as it is let go of; None keeps what is."""

    control_done: int | None = None
    timeline: int | None = None
    chapter: int | None = None
    replay_from: int | None = None
    mail_from: int | None = None
    version: int | None = None

    @property
    def numbers(self) -> tuple[bytes | None, ...]:
        """The values as `turn.sql` takes them."""
        values = (
            self.control_done, self.timeline, self.chapter, self.replay_from, self.mail_from, self.version,
        )
        return tuple(None if value is None else arrays.int4(value) for value in values)


@dataclass(slots=True, kw_only=True)
class OpenTimeline:
    """A new timeline, whose entry is the last draft of its write."""

    number: int
    parent: int
    to_seq: int
    seed: uuid.UUID
    verb: str
    reason: str = ""
    guidance: str = ""
    opened_by: str = ""


@dataclass(slots=True, kw_only=True)
class Release:
    """Let go of the mission: its new state, when it is due again, and what it waits for."""

    state: str
    inbox_seq: int
    wake_at: dt.datetime | None = None
    reason: str = ""
    waits_for: str = ""
    step: str = ""
    outcome: Outcome | None = None
    turn: Turn | None = None
    reopens: bool = False  # it had ended, and goes on


Index = OpenEffect | SettleEffect | OpenTimeline  # rows that mirror an entry of the same write


# A prepared statement that goes with a write, for the head as it stands after the drafts: fenced, and soon repeated.
Side = Callable[[Head], Call]


@dataclass(slots=True, kw_only=True)
class Write:
    """One mission's part of a batch, all of it or nothing. The future gets the seq of the last draft, or whether
    a released mission is due at once."""

    head: Head
    future: asyncio.Future[int]
    drafts: Sequence[Draft] = ()
    index: Sequence[Index] = ()
    release: Release | None = None
    side: Sequence[Side] = ()
    bytes: int = 0

    def __post_init__(self) -> None:
        self.bytes = ROW_BYTES
        for draft in self.drafts:  # a generator costs more than all else here
            self.bytes += len(draft.payload) + ROW_BYTES


def _micros(at: dt.datetime | None) -> bytes | None:
    return arrays.int8(chain.microseconds(at)) if at is not None else None


@dataclass(slots=True)
class Batch:
    """Writes under one Sync. `build` may be called once; `calls` as often as the batch is sent."""

    writes: list[Write]
    entries: list[tuple[Any, ...]] = field(default_factory=list)  # as `append` takes them, a column each
    extra: list[Call] = field(default_factory=list)
    outcomes: list[Call] = field(default_factory=list)
    before: dict[tuple[int, int], tuple[Head, int, bytes]] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    micros: int = 0

    def build(self, micros: int) -> None:
        """Give each draft its seq and link; `micros` is the database's time since 2000."""
        self.micros = micros
        salts = chain.new_salts(sum(len(write.drafts) for write in self.writes))
        for write in self.writes:
            head = write.head
            if head.fence not in self.before:
                self.before[head.fence] = (head, head.seq, head.link)
            for draft in write.drafts:
                self._place(head, draft, next(salts))
            self.seqs.append(head.seq)
            if write.side or write.index or write.release is not None:
                self._index(write)

    def restore(self) -> None:
        """Take the heads back to where they were: nothing of this batch was written."""
        for head, seq, link in self.before.values():
            head.seq, head.link = seq, link

    def _place(self, head: Head, draft: Draft, salt: bytes) -> None:
        seq, timeline, payload, stored = head.seq + 1, head.timeline, draft.payload, None
        kind, path, given = draft.kind.encode(), draft.path.encode(), draft.input_hash
        digest = chain.digest(salt, payload)
        link = chain.link_bytes(head.link, head.name, seq, timeline, kind, path, given, digest, self.micros)
        if len(payload) > INLINE_BYTES:
            stored = hashlib.sha256(payload).digest()
            self.extra.append((b"payload_store", (stored, payload)))
        self.entries.append((
            head.mission_id, head.attempt, seq, timeline, kind, path, given, None if stored else payload, stored, salt,
            digest, link,
        ))
        head.seq, head.link = seq, link

    def _index(self, write: Write) -> None:
        head, release = write.head, write.release
        self.extra += [make(head) for make in write.side]
        fence = (arrays.int8(head.mission_id), arrays.int4(head.attempt))
        for row in write.index:
            self.extra.append(_INDEXED[type(row)](head, fence, row))
        if release is None:
            return
        if release.reopens:
            self.extra.append((b"reopen", fence))
        if (outcome := release.outcome) is not None:
            words = (outcome.verdict.encode(), outcome.summary.encode(), outcome.data, outcome.error.encode())
            self.outcomes.append((b"outcome", (*fence, *words)))
        if outcome is not None or release.state == "paused":
            self.outcomes.append((b"ended", fence))
        if release.turn is not None:
            self.outcomes.append((b"turn", (*fence, *release.turn.numbers)))

    @property
    def rows(self) -> int:
        """How many entries the append statement must write."""
        return len(self.entries)

    def calls(self) -> list[Call]:
        """The statements, in order: entries, payloads and indexes, then releases, then what only the released get."""
        calls: list[Call] = []
        if self.rows == 1:
            mission_id, attempt, seq, timeline, *rest = self.entries[0]
            numbers = (arrays.int8(mission_id), arrays.int4(attempt), arrays.int4(seq), arrays.int4(timeline))
            calls.append((b"append_one", (*numbers, *rest, arrays.int8(self.micros))))
        elif self.rows:
            packed = [pack(column) for pack, column in zip(PACK, zip(*self.entries, strict=True), strict=True)]
            calls.append((b"append", (*packed, arrays.int8(self.micros))))
        calls += self.extra
        releases = [write for write in self.writes if write.release is not None]
        if releases:
            calls.append(release_call(releases))
        return calls + self.outcomes


def release_call(writes: Iterable[Write]) -> Call:
    """The one statement that lets go of all missions of these writes."""
    pairs = [(write.head, write.release) for write in writes if write.release is not None]
    wakes = [_micros(release.wake_at) for _, release in pairs]
    return b"release", (
        arrays.int8s([head.mission_id for head, _ in pairs]),
        arrays.int4s([head.attempt for head, _ in pairs]),
        arrays.int4s([release.inbox_seq for _, release in pairs]),
        arrays.texts([release.state.encode() for _, release in pairs]),
        arrays.texts([release.reason[:60].encode() for _, release in pairs]),
        arrays.moments(wakes),
        arrays.texts([release.waits_for[:200].encode() for _, release in pairs]),
        arrays.texts([release.step[:200].encode() for _, release in pairs]),
        arrays.int4s([head.seq for head, _ in pairs]),
    )


Fence = tuple[bytes, bytes]


def _effect_opened(head: Head, fence: Fence, effect: OpenEffect) -> Call:
    texts = (effect.path, effect.tool, effect.key, effect.args_digest, effect.effect_class, effect.retry_safety)
    path, *rest = (text.encode() for text in (*texts, effect.compensate))
    numbers = (arrays.int4(head.seq), arrays.int4(head.timeline), arrays.int4(effect.chapter))
    generation, deadline = arrays.int4(effect.generation), _micros(effect.deadline_at)
    return b"effect_open", (*fence, effect.id.bytes, *numbers, path, generation, *rest, deadline)


def _effect_settled(head: Head, fence: Fence, effect: SettleEffect) -> Call:
    return b"effect_settle", (*fence, effect.key.encode(), effect.state.encode(), arrays.int4(head.seq))


def _timeline_opened(head: Head, fence: Fence, opened: OpenTimeline) -> Call:
    numbers = (opened.number, opened.parent, opened.to_seq, head.seq)
    texts = (opened.verb, opened.reason, opened.guidance, opened.opened_by)
    words = [text.replace("\x00", "\ufffd").encode() for text in texts]
    return b"timeline_open", (*fence, *(arrays.int4(number) for number in numbers), opened.seed.bytes, *words)


_INDEXED: dict[type, Callable[[Head, Fence, Any], Call]] = {
    OpenEffect: _effect_opened, SettleEffect: _effect_settled, OpenTimeline: _timeline_opened,
}
