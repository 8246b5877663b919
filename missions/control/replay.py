"""Replaying a stored journal against the code of this process, without effects: would the mission go on?

Nothing is claimed, written or called. The run ends where the record does; what would come next is never started. The
author's body runs guarded, as in a worker. Nothing here ends code that never returns: `missions.control.rehearsing`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from missions.agents import identities
from missions.agents.identities import Identity
from missions.context import Context
from missions.control.lineage import spans
from missions.engine import chain, codec, guard, guarded_events
from missions.engine.attempt import ENDS
from missions.engine.claims import Claimed, Recorded
from missions.engine.clock import Estimate
from missions.engine.lane import Lane
from missions.engine.leaving import Leaving
from missions.engine.limits import Rules
from missions.engine.registry import MissionType, code_for
from missions.engine.run import Run
from missions.errors import Guarded, Suspended, UnknownAgent, UnknownType
from missions.models import Entry, Kind, Mission, Payload, Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay found. `ok` is None where this process has no code for the mission's type and version."""

    ok: bool | None
    version: int  # of the code
    entries: int  # that the code asked for, in their order
    detail: str = ""  # where it differs, and how
    differs: dict[str, Any] | None = None  # the same side by side: `missions.engine.divergence`


class Rehearsal(Run):
    """A run that stops where its record does."""

    def _settle(self) -> None:
        if self.record:
            super()._settle()
        else:
            cast(Bystander, self.owner).stop(self)

    def pause(self, reason: str, detail: str) -> None:
        """A worker would stop here; nothing is written. What is cut off because the record has ended is no fault."""
        if not (self.has_left or self.parking):
            self.owner.attend(self, reason, detail, matched_seq=self.matched_seq)


class Bystander:
    """Stands in for the worker: nothing leaves a replay. `known` is what its record refers to, looked up before."""

    draining = False
    patience = 0.0

    def __init__(self, known: Mapping[tuple[Any, ...], Any]) -> None:
        self._known = known
        self.detail = ""
        self.differs: dict[str, Any] | None = None

    def stop(self, run: Leaving) -> None:
        """The record is exhausted, or differs: nothing more may run."""
        run.parking = True
        asyncio.get_running_loop().call_soon(run.poison)  # which cancels all but the task that it is called from

    def attend(
        self, run: Leaving, reason: str, detail: str, *, matched_seq: int, differs: dict[str, Any] | None = None
    ) -> None:
        """The code differs from the record."""
        self.detail, self.differs = detail, differs
        self.stop(run)

    def rules(self) -> Rules:
        """Nothing is called, so nothing is limited."""
        return Rules()

    async def learn_rules(self) -> None:
        """Nothing is called."""

    def spares(self) -> bool:
        """Nothing waits in memory here."""
        return False

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Nothing has to be fetched here."""
        raise NotImplementedError

    def forget(self, run: Leaving, *, due: bool, wake_at: dt.datetime | None) -> None:
        """Nothing was claimed."""

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Nothing fresh runs."""
        raise Suspended

    async def in_database(self, function: Callable[..., Any], *args: Any) -> Any:
        """Nothing fresh runs; what the record refers to is known."""
        found = self._known.get((function, *args), Suspended())
        if isinstance(found, BaseException):
            raise found
        return found

    def calling(self, task: asyncio.Task[Any], seconds: float) -> None:
        """Nothing is called."""

    def report_late(self, mission_id: int, key: str, evidence: dict[str, Any]) -> None:
        """Nothing was called."""


def replay(mission: Mission) -> Replayed:
    """Replay one mission's current timeline and chapter. Synchronous; reads only."""
    try:
        kind = code_for(mission.type, mission.version)
    except UnknownType as error:
        return Replayed(ok=None, version=mission.version, entries=0, detail=str(error))
    guarded_events.install()
    entries = list(_recorded(mission))
    timelines = list(Timeline.objects.filter(mission_id=mission.pk))
    return asyncio.run(_rehearse(mission, kind, entries, timelines, _agents(entries)))


async def _rehearse(
    mission: Mission, kind: MissionType, entries: list[Recorded], timelines: list[Timeline],
    known: Mapping[tuple[Any, ...], Any],
) -> Replayed:
    owner = Bystander(known)
    claimed = Claimed(
        id=mission.pk, uid=mission.uid, type=mission.type, version=kind.version, attempt=mission.attempt,
        timeline=mission.timeline, chapter=mission.chapter, inbox_seq=mission.inbox_seq, control_seq=0, control_done=0,
        title="", started_by_id=None, head_seq=mission.head_seq, last_kind="", link=b"", entries=entries,
        seeds={row.number: row.seed for row in timelines}, guidance={row.number: row.guidance for row in timelines},
    )
    run = Rehearsal(claimed, cast(Lane, None), Estimate(), owner, whole=True)
    task = asyncio.create_task(_body(run, kind))
    run.own(task)
    await asyncio.wait({task})
    if not task.cancelled() and not isinstance(error := task.exception(), Suspended | None):
        raise error  # its time is up
    replayed = sum(1 for entry in entries if entry.seq <= run.matched_seq)
    return Replayed(
        ok=not owner.detail, version=kind.version, entries=replayed, detail=owner.detail, differs=owner.differs
    )


async def _body(run: Run, kind: MissionType) -> None:
    ending: Exception | None = None
    try:
        context = Context(run)
        context.enter()
        request, run.scope = kind.parse_input(run.input), guard.Guarding(guard.BODY, kind.function)
        with run.scope:
            await kind.function(context, request)
    except (Suspended, asyncio.CancelledError):
        return
    except Exception as error:
        ending = error
    if isinstance(ending, Guarded):  # a worker would fail the mission
        run.owner.attend(run, "violation", codec.words(ending), matched_seq=run.matched_seq)
    elif not run.has_left:
        run.finished(ending)


def _agents(entries: Sequence[Recorded]) -> dict[tuple[Any, ...], Identity | UnknownAgent]:
    """The versions of agents that the record names, as `identities.version_of` has them."""
    named = {(one.payload["agent"], one.payload["version"]) for one in entries if one.kind == Kind.AGENT}
    found: dict[tuple[Any, ...], Identity | UnknownAgent] = {}
    for name, number in named:
        try:
            found[identities.version_of, name, number] = identities.version_of(name, number)
        except UnknownAgent as error:
            found[identities.version_of, name, number] = error
    return found


def _recorded(mission: Mission) -> Iterator[Recorded]:
    kept = spans(mission)
    rows = Entry.objects.filter(mission_id=mission.pk, seq__gte=mission.replay_from).order_by("seq")
    for row in rows.iterator(chunk_size=500):
        if row.kind in ENDS or not any(low <= row.seq and (high is None or row.seq <= high) for low, high in kept):
            continue
        body = row.payload if row.payload is not None else Payload.objects.get(pk=bytes(row.stored or b"")).body
        yield Recorded(
            row.seq, row.timeline, row.kind, row.path, bytes(row.input_hash), bytes(body),
            chain.microseconds(row.recorded_at),
        )
