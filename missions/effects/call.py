"""One tool call of a mission: the effect protocol, entry by entry.

`perform` alternates between folding what the journal holds and one live act that appends the next entry. An act never
leaves the world ahead of the journal: an effect's intent is committed before its call, and its outcome, whatever it
is, is recorded after it. A call that a crash, a time-out or a lost connection cut off is in doubt until
`missions.effects.doubt` resolves it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from missions.effects import (
    admission,
    asking,
    backoff,
    budgeting,
    charging,
    consent,
    dispatch,
    doubt,
    endings,
    evidence,
    intents,
    keys,
    preparing,
    reads,
    standing,
)
from missions.effects.acting import MISSION, Actor
from missions.effects.calling import Calling, attended
from missions.effects.progress import ENDS, Phase, Progress
from missions.effects.results import result_of
from missions.effects.saying import said, shown
from missions.engine import codec, crashpoints
from missions.engine.branches import Wait, mark
from missions.engine.run import Run
from missions.engine.writes import Draft, Index, OpenEffect, SettleEffect, Side
from missions.errors import BudgetExhausted, Suspended, ToolChanged
from missions.governance import EffectClass, Intent, Json
from missions.models import EffectState, Kind
from missions.storage.workspaces import note
from missions.tools.spec import ToolSpec


class ToolRun:
    """One call `m.tool(...)` at one key path."""

    def __init__(
        self, run: Run, path: str, spec: ToolSpec, args: Json, outer: ToolRun | None = None, actor: Actor = MISSION
    ) -> None:
        self.run, self.path, self.spec, self.raw, self.outer, self.actor = run, path, spec, args, outer, actor
        self.input_hash = codec.input_hash([spec.name, args])
        self.progress = Progress()
        self.args: Json = {}
        self.seq, self.at = 0, run.clock.now()  # of its last entry
        self.permit: tuple[int, ...] | None = None  # the limits that its call counts under, while it is under way
        self.took: float | None = None  # seconds of the last call
        self.charged = ""  # the key under which it is charged to period budgets
        self.prepared: Json | None = None  # what `args` were checked from
        self._mine = False  # whether this very attempt recorded the last entry
        self._acts: dict[Phase, Callable[[], Awaitable[None]]] = {
            Phase.RULE: self._rule, Phase.ASK: lambda: consent.ask(self),
            Phase.ANSWER: lambda: consent.await_answer(self), Phase.INTEND: self._intend,
            Phase.CALL: self._call, Phase.BACKOFF: self._back_off, Phase.DOUBT: lambda: doubt.resolve(self),
            Phase.ADOPT: lambda: standing.adopt(self), Phase.REREAD: lambda: evidence.read_again(self),
        }

    async def perform(self) -> Any:
        """The tool's result. Raises what the author may handle: Denied, Rejected, ChangesRequested, ToolFailed, …"""
        while self.progress.phase not in ENDS:
            # Between an intent of ours and its call nothing may come, or it would be in doubt: no drain either.
            calls = self._mine and self.progress.phase is Phase.CALL
            below = self.progress.phase is Phase.REREAD  # the next entries are those of the reads
            entry = None if calls or below else await self.run.recorded(self.path, self.input_hash, self._told)
            if entry is None:
                await self._act()
            elif self._fold(entry.kind, payload := entry.payload):
                self.seq, self.at, self._mine = entry.seq, entry.recorded_at, False
                note(self.run, payload)
            else:
                self.run.unexpected(entry, self.path)
        result = result_of(self.progress, self.spec)
        told = {"seq": self.seq, "title": self.spec.title, "path": self.path}
        if self.spec.effect is EffectClass.READ:
            self.run.readings.add(reads.reading_of(self))
            told |= {"source": self.spec.name, "read_at": self.at.isoformat()}
        self.run.evidence.append(told)
        return result

    def within(self, path: str, spec: ToolSpec, args: Json) -> ToolRun:
        """A read that is a part of this call, with entries of its own below this one's path."""
        return ToolRun(self.run, path, spec, args, outer=self, actor=self.actor)

    def _told(self) -> Json:
        return shown({"tool": self.spec.name, "args": self.raw})

    def _fold(self, kind: str, payload: Json) -> bool:
        folded = self.progress.fold(kind, payload)
        if payload.get("untrusted") is True and self.outer is None:
            self.run.untrusted.add(self.spec.name)  # from here on, for all that the mission does
        mark(shielded=self.shielded, question=self.progress.question)
        return folded

    @property
    def shielded(self) -> bool:
        """Whether its branch may not be cut off now: an effect is under way, here or around it."""
        return self.progress.shielded or (self.outer is not None and self.outer.shielded)

    async def _act(self) -> None:
        try:
            # Reading again comes in replay too, and needs no server.
            if self.progress.phase is Phase.REREAD or await preparing.prepared(self):
                await self._acts[self.progress.phase]()
        except ToolChanged as changed:
            await preparing.refuse(self, changed)
        except Exception as error:
            if not self.progress.unsettled:
                raise
            # The author may not go on, and the mission not end, while nobody knows what became of the effect.
            self.run.pause("effect unsettled", f"{self.sentence}: {said(error)}")
            raise Suspended from error

    async def record(
        self, entry_kind: Kind, /, *, settle: str = "", effect: OpenEffect | None = None, side: Sequence[Side] = (),
        **payload: Any,
    ) -> None:
        """Append an entry and fold it, as replay will; `settle` is the effect's new state."""
        heard = {"untrusted": True} if self._hears_strangers(entry_kind, payload) else {}
        body = codec.dump({"tool": self.spec.name, "title": self.spec.title, **shown(payload), **heard})
        side = (*side, *endings.along(self, entry_kind, told := codec.load(body)))
        index: list[Index] = [SettleEffect(key=self.progress.key, state=settle)] if settle else []
        index += [effect] if effect else []
        if entry_kind in (Kind.INTENT, Kind.RETRY):
            self.run.shield(self.path, on=True)
        draft = Draft(kind=entry_kind, path=self.path, payload=body, input_hash=self.input_hash)
        self.seq = await self.run.append(draft, index=(*index, *self.also(entry_kind, payload)), side=side)
        self.at, self._mine = self.run.clock.now(), True
        self._fold(entry_kind, told)
        if self.progress.phase is not Phase.CALL:
            self.run.shield(self.path, on=False)

    def _hears_strangers(self, entry_kind: Kind, payload: Json) -> bool:
        """Whether this entry holds words of the other side's that nobody vouches for."""
        called = entry_kind is Kind.OUTCOME and self.progress.phase is not Phase.RULE
        return called and self.spec.untrusted and payload["state"] in ("done", "failed")

    def also(self, entry_kind: Kind, payload: Json) -> Iterable[Index]:
        """What else changes with this entry; nothing for a call of the author."""
        return ()

    # -- Before the call -----------------------------------------------------------------------------------------------

    @property
    def intent(self) -> Intent:
        """The action as governance sees it."""
        return asking.action_of(self.run, self.spec, self.args, self.actor)

    @property
    def sentence(self) -> str:
        """The action in words for people."""
        return self.spec.describe(self.args)

    def later(self, retry_after: float | None, tries: int) -> dt.datetime:
        """When to try again: when the other side says, else with exponential backoff."""
        return self.run.clock.now() + backoff.pause(tries, retry_after)

    async def _rule(self) -> None:
        if await standing.settle(self):
            return
        phase = "edited" if self.progress.recheck else "plan"
        ruling, intent = await intents.rule(self)
        looked_at: Json = {"budgets": list(intent.budgets)} if intent.budgets else {}
        behind = await evidence.rests_on(self, ruling)
        await self.record(
            Kind.RULING, phase=phase, **ruling.as_json(), **looked_at, **behind, **intents.judged(self, ruling)
        )
        crashpoints.reach("after_ruling")

    def next_decision(self) -> uuid.UUID:
        """The id of the decision that comes next at this path."""
        at = self.run.claimed
        return keys.decision_id(at.uid, at.timeline, at.chapter, self.path, self.progress.round + 1)

    async def _intend(self) -> None:
        is_read = self.spec.effect is EffectClass.READ
        if self.progress.approved is None and await evidence.at_hand(self) is None:
            return
        try:
            try:
                await budgeting.allow(self.run, "" if is_read else "effects", self.path)
                await charging.charged(self)
            except BudgetExhausted as error:
                await self.record(Kind.RULING, phase="budget", **budgeting.denial(error).as_json())
                return
            await (reads.read(self) if is_read else self._open())
        finally:
            self.run.ledger.reserved.pop(self.path, None)

    async def _open(self) -> None:
        await admission.admitted(self)
        # What a restored backup forgot may be what has changed the evidence: whether it happened comes first.
        if self._is_forgotten or await evidence.holds(self):
            await intents.open_effect(self)

    @property
    def _is_forgotten(self) -> bool:
        """Whether it may have happened in what a restored backup lost."""
        return self.run.claimed.suspect and not self.progress.cleared

    def key_of(self, generation: int) -> str:
        """The idempotency key of one generation of this effect."""
        return keys.effect_key(self.run.claimed.uid, self.run.claimed.chapter, self.path, generation)

    def deadline(self) -> dt.datetime:
        """When a call that starts now is given up."""
        return self.run.clock.now() + dt.timedelta(seconds=self.spec.timeout_seconds)

    async def _call(self) -> None:
        if self.spec.effect is EffectClass.READ:
            await reads.read(self)
        elif self._is_forgotten or not self._mine:
            await doubt.begin(self, forgotten=self._is_forgotten)
        else:
            await self._dispatch()

    async def _dispatch(self) -> None:
        again = self.progress.tries or self.progress.uncertain
        async with attended(self.run, self.path, self.spec, fresh=not again) as calling:
            if not await intents.stands(self):
                return
            self._mine = False  # from here on nobody knows, until an entry says
            begun = time.monotonic()
            answered = await dispatch.call_tool(self.run, self.spec, dispatch.call_of(self), self.args, calling)
            self.took = time.monotonic() - begun
            try:
                await self._take(answered, calling)
            except (Suspended, asyncio.CancelledError):
                dispatch.keep_evidence(self.run, self.progress.key, answered)
                raise
            await admission.answered(self, answered)

    async def retry(self, why: str) -> None:
        """Record that the call is about to be made (again), with a new deadline and the same key."""
        await admission.admitted(self)
        if not await evidence.holds(self):
            return
        await self.record(
            Kind.RETRY, key=self.progress.key, count=self.progress.tries + 1, why=why,
            deadline_at=self.deadline().isoformat(),
        )

    async def _take(self, answered: dispatch.Answered, calling: Calling) -> None:
        progress = self.progress
        if isinstance(answered, dispatch.Done):
            await endings.done(self, answered.outcome, calling, settle=EffectState.DONE, key=progress.key)
            crashpoints.reach("after_outcome")
        elif isinstance(answered, dispatch.NotYet):
            await self.put_off(answered.why, answered.retry_after_seconds)
        elif isinstance(answered, dispatch.Unknown):
            await self.record(Kind.DOUBT, settle=EffectState.IN_DOUBT, key=progress.key, why=answered.why)
        elif progress.uncertain:
            await doubt.ask_person(self, f"It may have happened before; now it answers: {answered.error['message']}")
        else:
            await self.failed(answered.error, calling, settle=EffectState.NOT_DONE)

    async def put_off(self, why: str, retry_after: float | None = None) -> None:
        """Record that it is tried again later."""
        count = self.progress.tries + 1
        resume_at = self.later(retry_after, count).isoformat()
        await self.record(Kind.BACKOFF, key=self.progress.key, why=why, resume_at=resume_at, count=count)

    async def failed(self, error: Json, calling: Calling, settle: str = "") -> None:
        """Record that the tool declared an error, and is not called again."""
        await self.record(
            Kind.OUTCOME, settle=settle, state="failed", error=error, key=self.progress.key, sentence=self.sentence,
            effect_class=self.spec.effect, side=calling.dropping(),
        )

    async def _back_off(self) -> None:
        resume_at = self.progress.resume_at
        if resume_at is not None and not self.run.is_past(resume_at):
            await self.run.wait(self.path, Wait(label=f"tool:{self.spec.name}", wake_at=resume_at))
        elif self.spec.effect is EffectClass.READ:
            await reads.read(self)
        else:
            sure = "It was refused before it did anything."
            await self.retry("The other side counts the same key once." if self.progress.uncertain else sure)
