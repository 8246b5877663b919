"""One attempt from the first call to its end: run the author's function, and write down how it ended.

A refusal that the author did not handle ends the mission as completed with that verdict; any other error as failed.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from typing import Any, Protocol

from missions.engine import codec, guard
from missions.engine.chapters import chapter_release
from missions.engine.claims import Mail, more_entries
from missions.engine.holding import held_back
from missions.engine.registry import MissionType
from missions.engine.run import Run
from missions.engine.verdict import VERDICT_LENGTH, Verdict, verdict_of
from missions.engine.writes import Draft, Outcome, Release
from missions.errors import Refusal, StandfastError, Suspended
from missions.governance import Json
from missions.models import Kind, State

ENDS = {Kind.COMPLETED: State.COMPLETED, Kind.FAILED: State.FAILED}
TRACEBACK_CHARACTERS = 8000


class AuthorContext(Protocol):
    """What the author's function gets as its first argument."""

    def enter(self) -> None:
        """Make the current task the mission's first branch."""


class ContextFactory(Protocol):
    """What makes contexts, and runs the programs of controls."""

    def __call__(self, run: Run) -> AuthorContext:
        """The context of one attempt."""

    def steer(self, run: Run, control: Mail) -> Coroutine[Any, Any, None]:
        """Run the program of a control until it ends or leaves memory."""


async def attempt(run: Run, kind: MissionType, make_context: ContextFactory) -> None:
    """Run a claimed mission until it ends or leaves memory. Never raises for the author's faults."""
    if _is_behind(run):
        await _catch_up(run)
        return
    if await held_back(run):
        return
    if run.record.version > kind.version:
        run.leave_to_newer()
        return
    run.upgrade(kind.version)
    await run.prepare()
    try:
        ending = await _ending(run, kind, make_context)
    except (Suspended, asyncio.CancelledError):
        if not run.has_left:
            raise
        return
    if run.has_left:
        return
    state, payload = ending
    _release(run, state, payload, Draft(kind=_kind_of(state), path="", payload=codec.dump(payload)))


def _is_behind(run: Run) -> bool:
    """Whether the end, or the next chapter, was recorded, but the row was not let go of."""
    last = run.claimed.last_kind
    return last in ENDS or (last == Kind.CHAPTER and run.first.seq != run.claimed.head_seq)


async def _catch_up(run: Run) -> None:
    (last,) = await more_entries(run.lane, run.claimed, run.claimed.head_seq - 1)
    if last.kind == Kind.CHAPTER:
        run.release(chapter_release(last.payload, last.seq, run.inbox, run.clock.now()))
    else:
        _release(run, ENDS[Kind(last.kind)], last.payload)


def _kind_of(state: State) -> Kind:
    return Kind.COMPLETED if state == State.COMPLETED else Kind.FAILED


async def _ending(run: Run, kind: MissionType, make_context: ContextFactory) -> tuple[State, Json]:
    context = make_context(run)
    context.enter()
    try:
        try:
            request, run.scope = kind.parse_input(run.input), guard.Guarding(guard.BODY, kind.function)
            with run.scope:
                returned = await kind.function(context, request)
            verdict = verdict_of(returned)
        except Refusal as refusal:
            verdict = Verdict(refusal.verdict, codec.words(refusal), refusal.facts)
        run.finished()
        return State.COMPLETED, _completed(verdict) | _marks(run)
    except (Suspended, GeneratorExit):
        raise
    except BaseException as error:  # a mission may end itself (exit, a cancellation of its own), not the worker
        if run.has_left:
            raise
        run.finished(error)
        return State.FAILED, _failed(error) | _marks(run)


def _marks(run: Run) -> Json:
    """What a mission that waits for this end must know of what it rests on."""
    return {"untrusted": sorted(run.untrusted)} if run.untrusted else {}


def _completed(verdict: Verdict) -> Json:
    data: Json = codec.load(codec.dump(verdict.data, limit=codec.INPUT_BYTES))
    told: Json = {"verdict": verdict.verdict[:VERDICT_LENGTH], "summary": verdict.summary, "data": data}
    codec.dump(told)  # what can not be written down fails the mission here
    return told


def _failed(error: BaseException) -> Json:
    trace = codec.words("".join(traceback.format_exception(error))[-TRACEBACK_CHARACTERS:])
    name = error.code if isinstance(error, StandfastError) else type(error).__name__
    return {"error": {"type": name, "message": codec.words(error), "traceback": trace}}


def _plain(text: Any) -> str:
    """PostgreSQL's text holds no NUL; the journal keeps the original."""
    return str(text).replace("\x00", "\ufffd")


def outcome_of(payload: Json) -> Outcome:
    """What lists tell of an ending; `payload` is that of its entry."""
    error = payload.get("error") or {}
    data = codec.dump(payload.get("data") or {}).replace(b"\\u0000", b"\\ufffd")
    return Outcome(
        verdict=_plain(payload.get("verdict", "")), summary=_plain(payload.get("summary", "")), data=data,
        error=_plain(f"{error['type']}: {error['message']}") if error else "",
    )


def _release(run: Run, state: State, payload: Json, *drafts: Draft) -> None:
    wake_at = run.clock.now() if run.closing else None  # a control waits
    run.release(
        Release(
            state=state, inbox_seq=run.inbox.seq, step=run.step, outcome=outcome_of(payload), wake_at=wake_at
        ),
        *drafts,
    )
