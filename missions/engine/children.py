"""Missions that a mission starts: starting them once, reading their ends, and which ones a rollback leaves behind.

Synchronous verbs; the calls of the author (`missions.context.relations`) run them in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db.models import Q

from missions import data_classes
from missions.engine import history
from missions.engine.starting import Wish, begin
from missions.errors import KeyReused, SpawnRefused
from missions.models import (
    ENDED,
    Child,
    Entry,
    Kind,
    Mission,
    OnFailure,
    OnParentEnd,
    Outcome,
    SharedChild,
    State,
    Timeline,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User

UNDOING_NOTHING = ("retry", "accept")  # what opened a timeline on which all that was done before stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn:
    """A child as the parent's code asks for it, and the call that does: parent, timeline, chapter, path."""

    parent_id: int
    parent_uid: uuid.UUID
    started_by_id: int | None
    timeline: int
    chapter: int
    path: str
    type: str
    input: dict[str, Any]
    title: str
    key: str | None
    after: Sequence[str]
    on_failure: str
    priority: int
    on_parent_end: str
    effects_off: bool = False  # as in the parent
    clearance: data_classes.Clearance = data_classes.DEFAULT  # of the parent: a child has no more
    untrusted: tuple[str, ...] = ()  # the sources outside our trust that the parent has read from

    @property
    def full_key(self) -> str:
        """What makes this call start one child: its place, or the author's key, which holds across chapters."""
        place = f"{self.chapter}\n{self.path}" if self.key is None else f"key\n{self.key}"
        return "child:" + hashlib.sha256(f"{self.parent_uid}\n{self.timeline}\n{place}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a child ended."""

    state: str
    verdict: str
    summary: str
    data: dict[str, Any]
    error: str
    untrusted: tuple[str, ...] = ()  # the sources outside our trust that it had read from


def start_child(spawn: Spawn) -> uuid.UUID:
    """Start a child, or find the one that this very call started before a crash, or before a retry; its id.

    Raises what `starting.start` raises, KeyReused included.
    """
    for earlier in _kept(spawn):
        with contextlib.suppress(KeyReused):  # the new timeline wants another one
            return _begin(earlier).uid
    return _begin(spawn).uid


def _kept(spawn: Spawn) -> Iterator[Spawn]:
    """This call on the timelines before, the newest first, where its child stands: nothing that succeeded repeats.

    A timeline that a rollback left is none of these: its children were asked to cancel.
    """
    opened = {row.number: row for row in Timeline.objects.filter(mission_id=spawn.parent_id)}
    while (row := opened.get(spawn.timeline)) is not None and row.verb in UNDOING_NOTHING:
        spawn = replace(spawn, timeline=row.parent)
        child = Mission.objects.filter(idempotency_key=spawn.full_key).only("state").first()
        if child is not None and child.state not in (State.FAILED, State.CANCELLED):
            yield spawn


def _begin(spawn: Spawn) -> Mission:
    known: Any = get_user_model()
    starter: User | None = known.objects.filter(pk=spawn.started_by_id).first() if spawn.started_by_id else None
    child = Child(
        parent_id=spawn.parent_id, timeline=spawn.timeline, chapter=spawn.chapter, path=spawn.path,
        on_parent_end=OnParentEnd(spawn.on_parent_end),
    )
    mission, _ = begin(Wish(
        type=spawn.type, input=spawn.input, title=spawn.title, key=spawn.full_key, started_by=starter, via="mission",
        priority=spawn.priority, after=spawn.after, on_failure=OnFailure(spawn.on_failure), child=child,
        effects_off=spawn.effects_off, at_most=spawn.clearance, untrusted=spawn.untrusted,
    ))
    return mission


def end_of(parent_id: int, uid: str) -> End | None:
    """How a child ended; None while it goes on.

    Raises SpawnRefused where this is no child of that parent, nor of the mission that the parent was forked from.
    """
    child = Mission.objects.filter(uid=uuid.UUID(uid)).first()
    if child is None or not (child.parent == parent_id or _inherits(parent_id, child.pk)):
        raise SpawnRefused(f"This mission has no child {uid}.")
    if not child.ended:
        return None
    end = Outcome.objects.filter(mission_id=child.pk).first() or Outcome()
    return End(
        state=child.state, verdict=end.verdict, summary=end.summary, data=end.data, error=end.error,
        untrusted=_read_by(child),
    )


def _read_by(child: Mission) -> tuple[str, ...]:
    rows = Entry.objects.filter(mission_id=child.pk, kind__in=(Kind.COMPLETED, Kind.FAILED)).order_by("-seq")[:1]
    return tuple(next((entry.payload.get("untrusted", ()) for entry in history.decode(list(rows))), ()))


def _inherits(mission_id: int, child_id: int) -> bool:
    return SharedChild.objects.filter(mission_id=mission_id, child_id=child_id).exists()


def share(source_id: int, mission_id: int, uids: Collection[str]) -> None:
    """Let a fork read how these children of its source end. Joins the caller's transaction."""
    theirs = Q(parent=source_id) | Q(pk__in=SharedChild.objects.filter(mission_id=source_id).values("child_id"))
    known = Mission.objects.filter(theirs, uid__in=uids).values_list("pk", flat=True)
    SharedChild.objects.bulk_create([SharedChild(mission_id=mission_id, child_id=pk) for pk in known])


def heirs_of(child_id: int) -> list[int]:
    """The forks that may wait for this child of their source."""
    return list(SharedChild.objects.filter(child_id=child_id).values_list("mission_id", flat=True))


def spawned_after(mission_id: int, seqs: Collection[int], abandoned: Collection[int] = ()) -> list[int]:
    """The children that still run and were started by entries with these seqs, which a rollback leaves behind.

    A child that an earlier entry names too is kept, unless that entry is `abandoned`: on a timeline that was left. With
    them come those that a crash kept out of the journal: their call comes after all that is recorded. The caller
    decides what becomes of them (they are asked to cancel).
    """
    rows = Entry.objects.filter(mission_id=mission_id, kind=Kind.SPAWNED).order_by("seq")
    told = {entry.seq: str(entry.payload.get("child", "")) for entry in history.decode(list(rows))}
    first = min(seqs, default=0)
    kept = {uid for seq, uid in told.items() if seq not in seqs and seq < first and seq not in abandoned}
    left = {uid for seq, uid in told.items() if seq in seqs} - kept
    ids = Child.objects.filter(parent_id=mission_id).values_list("child_id", flat=True)
    running = Mission.objects.filter(pk__in=ids).exclude(state__in=ENDED).order_by("pk").values_list("pk", "uid")
    return [pk for pk, uid in running if str(uid) in left or str(uid) not in told.values()]


def of_parent(mission_id: int, limit: int, seen: Q | None = None) -> list[Mission]:
    """The latest children of a mission that `seen` lets through, with their briefs, oldest first."""
    born = Child.objects.filter(parent_id=mission_id).order_by("-child_id")
    if seen:  # by the same index, but for those that are looked at in vain
        rows = Mission.objects.filter(seen, pk__in=born.order_by().values("child_id")).order_by("-pk")
        return list(rows.select_related("brief")[:limit])[::-1]
    ids = list(born.values_list("child_id", flat=True)[:limit])
    return list(Mission.objects.filter(pk__in=ids).select_related("brief").order_by("pk"))
