"""What the author of a mission holds: the calls that make its work durable.

One object per attempt; each call finds the branch it is made from. A call from a task that is no branch of the mission
is refused, since its order would differ from run to run.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from django.conf import settings

from missions.effects.call import ToolRun
from missions.effects.questions import Question, Validator, findings_of
from missions.effects.steps import StepRun
from missions.engine import codec
from missions.engine.branches import Branch, Wait, durable
from missions.engine.run import Run
from missions.engine.verdict import RetryPolicy
from missions.engine.writes import Draft
from missions.errors import MisusedContext
from missions.governance import Answer, Json
from missions.models import Kind
from missions.tools.registry import get_tool

_branch: contextvars.ContextVar[Branch] = contextvars.ContextVar("standfast_branch")
ONCE = RetryPolicy()


class Context:
    """The durable calls of one mission. Await each of them; what one returned is recorded and never done again."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._root = Branch(run, "")

    def enter(self) -> None:
        """Make the current task the mission's first branch; the worker calls this."""
        self._root.enter()
        _branch.set(self._root)

    def cut_off(self) -> None:
        """A durable call was cancelled by the author's own code: the mission stops here."""
        self._run.cut_off()

    @property
    def mission_id(self) -> uuid.UUID:
        """The mission's id as the outside knows it."""
        return self._run.claimed.uid

    @property
    def _here(self) -> Branch:
        self._run.check()
        branch = _branch.get(None)
        if branch is None or branch.run is not self._run or not branch.is_here:
            raise MisusedContext
        return branch

    # -- Work ----------------------------------------------------------------------------------------------------------

    @durable
    async def step(
        self, name: str, function: Callable[..., Any], *args: Any, retry: RetryPolicy = ONCE, **kwargs: Any
    ) -> Any:
        """Run a function once and return its recorded result, in the type that it declares.

        A step that a crash cut off before its record runs again, so it must not change the world: tools do that.
        Synchronous functions run in a thread. Raises StepFailed once the tries are used up.
        """
        return await StepRun(self._run, self._here.path(name), name, function, args, kwargs, retry).perform()

    async def _record(self, kind: Kind, path: str, payload: Json, input_hash: bytes = b"") -> int:
        draft = Draft(kind=kind, path=path, payload=codec.dump(payload), input_hash=input_hash)
        return await self._run.append(draft)

    @durable
    async def tool(self, name: str, /, **args: Any) -> Any:
        """Call a tool through the gate; its result, in the type that the tool declares.

        May park the mission for a decision, a rate limit or an effect in doubt. Raises Denied, Rejected, Expired,
        ChangesRequested, ToolFailed, EffectNotDone, ResultUnusable, InvalidInput, UnknownTool.
        """
        plain: Json = codec.load(codec.dump(args))
        return await ToolRun(self._run, self._here.path(name), get_tool(name), plain).perform()

    @durable
    async def gather(self, *calls: Awaitable[Any]) -> list[Any]:
        """Run calls side by side, each in a branch of its own; their results in order.

        All of them end before this returns; if some failed, the first of these in order is raised.
        """
        parent = self._here
        path, run = parent.path("gather"), self._run
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = len(calls)
        results: list[Any] = [None] * left

        async def strand(index: int, call: Awaitable[Any]) -> None:
            nonlocal left
            branch = Branch(run, f"{path}/{index}/")
            branch.enter()
            _branch.set(branch)
            try:
                results[index] = await call
            except GeneratorExit:
                raise
            except BaseException as error:  # SystemExit would end the worker, a lost cancellation the count
                if run.has_left:
                    return
                results[index] = error
            left -= 1
            if left == 0:
                run.go_on()  # the parent, before this strand stands still
                done.set_result(None)
            run.stand_still()

        for index, call in enumerate(calls):
            run.go_on()
            run.own(asyncio.get_running_loop().create_task(strand(index, call)))
        if calls:
            run.stand_still()
            await done
        failed = next((item for item in results if isinstance(item, BaseException)), None)
        if failed is not None:
            raise failed
        return results

    # -- Waiting -------------------------------------------------------------------------------------------------------

    @durable
    async def sleep(self, seconds: float | dt.timedelta) -> None:
        """Wait on the database's clock; a long wait costs one row."""
        path, until = self._here.path("sleep"), None
        span = seconds if isinstance(seconds, dt.timedelta) else dt.timedelta(seconds=seconds)
        input_hash = codec.input_hash([span.total_seconds()])
        while True:
            entry = await self._run.recorded(path, input_hash)
            if entry is not None and entry.kind == Kind.SLEPT:
                return
            if entry is not None:
                until = dt.datetime.fromisoformat(entry.payload["until"])
            elif until is None:
                until = self._run.clock.now() + span
                await self._record(Kind.SLEEP, path, {"until": until.isoformat()}, input_hash)
            elif self._run.is_past(until):
                await self._record(Kind.SLEPT, path, {}, input_hash)
                return
            else:
                await self._run.wait(path, Wait(label="timer", wake_at=until))

    @durable
    async def wait_for_signal(self, name: str, *, timeout: float | dt.timedelta | None = None) -> Json | None:  # noqa: ASYNC109  (a durable one)
        """Wait for a signal from outside and return its payload; None if the time-out (seconds) comes first.

        A signal that came before the mission waits counts. Signals of one name are taken in the order they came.
        """
        path, input_hash = self._here.path(f"signal:{name}"), codec.input_hash([name])
        waiting: Json | None = None
        while True:
            entry = await self._run.recorded(path, input_hash)
            if entry is not None and entry.kind == Kind.SIGNAL:
                return None if entry.payload["timed_out"] else entry.payload["payload"]
            if entry is not None:
                waiting = entry.payload
            elif waiting is None:
                waiting = {"name": name, "timeout_at": self._timeout_at(timeout)}
                await self._record(Kind.AWAIT, path, waiting, input_hash)
            elif (taken := self._take(name, waiting)) is not None:
                await self._record(Kind.SIGNAL, path, taken, input_hash)
                return None if taken["timed_out"] else taken["payload"]
            else:
                wake_at = waiting["timeout_at"] and dt.datetime.fromisoformat(waiting["timeout_at"])
                await self._run.wait(path, Wait(label=f"signal:{name}", signals=(name,), wake_at=wake_at or None))

    def _timeout_at(self, timeout: float | dt.timedelta | None) -> str | None:
        if timeout is None:
            return None
        span = timeout if isinstance(timeout, dt.timedelta) else dt.timedelta(seconds=timeout)
        return (self._run.clock.now() + span).isoformat()

    def _take(self, name: str, waiting: Json) -> Json | None:
        """The entry for a signal that lies there, or for a time-out that has come."""
        mail = self._run.take_mail(name)
        if mail is not None:
            return {
                "name": name, "seq": mail.seq, "payload": codec.load(mail.body), "sender": mail.sender,
                "timed_out": False,
            }
        over = waiting["timeout_at"] and self._run.is_past(dt.datetime.fromisoformat(waiting["timeout_at"]))
        return {"name": name, "seq": None, "payload": None, "sender": "", "timed_out": True} if over else None

    # -- People --------------------------------------------------------------------------------------------------------

    @durable
    async def approval(
        self, name: str, sentence: str, *, details: Json | None = None, tiers: Sequence[Json] | None = None,
    ) -> Answer:
        """Ask people to approve something in plain words; returns the approval.

        `tiers` are those of a policy file (group, quorum, sla_seconds, expires_seconds, on_expiry), by default one
        supervisor. Raises Rejected, Expired, ChangesRequested.
        """
        path = self._here.path(name)
        asked = tiers or [{"group": "supervisors", "quorum": 1}]
        plain: Json = codec.load(codec.dump(details or {}))
        return await Question(self._run, path, kind="plan", sentence=sentence, details=plain, tiers=asked).answer()

    @durable
    async def decide(
        self, name: str, proposal: Any, *, confidence: float | None = None, alternatives: Sequence[Any] = (),
        evidence: Sequence[Any] = (), validators: Sequence[Validator] = (), tiers: Sequence[Json] | None = None,
    ) -> Any:
        """Record a decision of the mission, immutable from then on, and return the proposal as plain JSON.

        A failed validator, a missing confidence or one under the bar (MISSIONS_CONFIDENCE_BAR) stops the mission here
        until people have looked at it. Raises Rejected, Expired, ChangesRequested.
        """
        path = self._here.path(name)
        plain = codec.load(codec.dump({"proposal": proposal, "alternatives": alternatives, "evidence": evidence}))
        input_hash = codec.input_hash([plain, confidence])
        entry = await self._run.recorded(path, input_hash)
        if entry is None:
            bar = settings.MISSIONS_CONFIDENCE_BAR
            findings = await findings_of(proposal, confidence, bar, validators)
            title = name.replace("-", " ").replace("_", " ").capitalize()
            payload = {"name": name, "title": title, **plain, "confidence": confidence, "findings": findings}
            await self._record(Kind.DECIDED, path, payload, input_hash)
        elif entry.kind == Kind.DECIDED:
            payload = entry.payload
        else:
            self._run.unexpected(entry, path)
        if payload["findings"]:
            sentence = f"{payload['title']}: go on with this decision?"
            details = {key: payload[key] for key in ("proposal", "confidence", "alternatives", "findings")}
            asked = tiers or [{"group": "supervisors", "quorum": 1}]
            await Question(
                self._run, f"{path}/second-look", kind="validation", sentence=sentence, details=details, tiers=asked
            ).answer()
        return payload["proposal"]

    # -- Facts ---------------------------------------------------------------------------------------------------------

    @durable
    async def observe(self, text: str, *, level: str = "info") -> None:
        """Tell people something in a sentence; it appears on the rail and drives nothing."""
        path, input_hash = self._here.path("observe"), codec.input_hash([text])
        entry = await self._run.recorded(path, input_hash)
        if entry is None:
            await self._record(Kind.OBSERVED, path, {"text": text[:2000], "level": level}, input_hash)

    @durable
    async def now(self) -> dt.datetime:
        """The time on the database's clock, recorded: replay returns the same."""
        path = self._here.path("now")
        entry = await self._run.recorded(path)
        if entry is not None:
            return dt.datetime.fromisoformat(entry.payload["at"])
        at = self._run.clock.now()
        await self._record(Kind.NOW, path, {"at": at.isoformat()})
        return at

    def uuid(self) -> uuid.UUID:
        """A fresh id that is the same on every replay of this timeline."""
        claimed = self._run.claimed
        return uuid.uuid5(claimed.uid, f"{claimed.timeline}/{self._here.path('uuid')}")
