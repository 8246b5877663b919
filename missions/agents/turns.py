"""One request to an LLM, entry by entry: the version of the agent, put off, another provider, the answer.

All entries stand at the turn's own path. The request itself changes nothing in the world: one that a crash cut off
before its answer was recorded is made again. A rate limit or an outage parks the mission; a used-up quota asks people.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from missions.agents import looking
from missions.agents.thoughts import Thinking, Thought
from missions.effects import admission, backoff, charging
from missions.effects.budgeting import TIERS, allow
from missions.effects.questions import Question
from missions.engine import codec, crashpoints
from missions.engine.branches import Interruptible, Wait, being_cancelled
from missions.engine.claims import Recorded
from missions.engine.writes import Draft, Side
from missions.errors import (
    AgentFailed,
    AgentInactive,
    BudgetExhausted,
    LlmQuotaExhausted,
    LlmWait,
    StandfastError,
    UnknownAgent,
)
from missions.governance import Json
from missions.models import Kind
from missions.tools.pricing import Price

if TYPE_CHECKING:
    from missions.agents.running import AgentRun

LLM = "llm"  # what limits on asking LLMs are set for, as if it were a tool
NOBODY = ""  # in the place of a request's digest: there was no agent to ask an LLM for
ERRORS = {error.code: error for error in (BudgetExhausted, UnknownAgent, AgentInactive)}
BROKEN_OFF = "The request was broken off."
TEXT_CHARACTERS = 500  # of what the LLM said, for people; all of it is in the message


class Turn:
    """One request: `begin` it, then have it `answer`."""

    def __init__(self, op: AgentRun, number: int, purpose: str = "turn") -> None:
        self.op, self.number, self.purpose = op, number, purpose
        self.path = f"{op.path}/{purpose}-{number}"
        self.said: list[str] = []  # what people said that the LLM is told with this request
        self._heard: Json = {}  # how much of what people said it has been told with that
        self._entry: Recorded | None = None  # of the answer, in replay
        self._payload: Json | None = None  # of the answer, once it is recorded
        self._failures, self._quotas = 0, 0
        self._resume_at: dt.datetime | None = None

    # -- Before the request --------------------------------------------------------------------------------------------

    async def begin(self) -> list[str]:
        """Follow what is recorded; where nothing more is, take the agent and the goal as they are now.

        Returns what the LLM is to be told by people. Raises UnknownAgent, AgentInactive, BudgetExhausted.
        """
        while self._payload is None and (entry := await self.op.run.recorded(self.path)) is not None:
            await self._fold(entry)
        if self._payload is None:
            await self._take_stock()
        if self._payload is not None and self._payload["asked"] == NOBODY:
            raise _error_of(self._payload["error"])
        return self.said

    async def _fold(self, entry: Recorded) -> None:
        payload = entry.payload
        if entry.kind == Kind.LLM:
            self._entry = entry
            self._take(payload)
        elif entry.kind == Kind.AGENT:
            self.op.identity = await looking.version_of(self.op, payload)
        elif entry.kind == Kind.SWITCHED:
            self.op.member = payload["to"]
        elif entry.kind == Kind.BACKOFF:
            self._failures = payload["count"]
            self._resume_at = dt.datetime.fromisoformat(payload["resume_at"]) if payload["resume_at"] else None
            if payload.get("quota"):
                await self._ask_for_more(payload["why"])
        else:
            self.op.run.unexpected(entry, self.path)

    async def _take_stock(self) -> None:
        try:
            looked = await looking.look(self.op)
        except (UnknownAgent, AgentInactive) as error:
            await self._failed(NOBODY, error)  # on the record, for it may be there by the time of a replay
            return
        self.said, self._heard = looked.said, looked.heard
        if looked.identity is not None:
            before, self.op.identity = self.op.identity, looked.identity
            await self._append(looking.entry_of(self.op, self.path, before), side=looking.engaged(self.op))

    # -- The request ---------------------------------------------------------------------------------------------------

    async def answer(self, asked: str, think: Thinking) -> Json:
        """The LLM's message. `asked` is a digest of what it is asked, which replay must come to as well.

        Raises AgentFailed, BudgetExhausted.
        """
        if self._payload is None:
            await self._live(asked, think)
        payload: Json = self._payload or {}
        if self._entry is not None and payload["asked"] != asked:
            self.op.run.differs(self._entry, self.path, "the LLM is asked something else than entry {} records")
        if (error := payload.get("error")) is not None:
            raise _error_of(error)
        response: Json = payload["response"]
        return response

    async def _live(self, asked: str, think: Thinking) -> None:
        run = self.op.run
        while self._payload is None:
            await run.recorded(self.path)  # nothing is: it puts the mission back where nothing fresh may start
            if self._resume_at is not None and not run.is_past(self._resume_at):
                await run.wait(self.path, Wait(label=f"llm:{self.op.name}", wake_at=self._resume_at))
                continue
            if quota := await self._ask(asked, think):
                await self._ask_for_more(quota)

    async def _ask(self, asked: str, think: Thinking) -> str:
        """Ask once, and record what came of it; why a quota is used up, else nothing."""
        run, seat, quota = self.op.run, None, ""
        try:
            await allow(run, "", self.path)
            await charging.thinks(run, self.path, self.op.name)
            await admission.unless_stopped(run, self.path, tool=LLM, agent=self.op.name)
            seat = await admission.seated(run, self.path, tool=LLM, agent=self.op.name)
            await admission.unless_stopped(run, self.path, tool=LLM, agent=self.op.name)  # it may have waited for long
            with Interruptible():
                thought = await think()
        except (LlmWait, asyncio.CancelledError) as error:
            if being_cancelled():
                raise
            # Else somebody cancelled a task of a library's, and nothing was answered.
            told = (error.why, error.retry_after_seconds) if isinstance(error, LlmWait) else (BROKEN_OFF, None)
            await self._put_off(*told)
        except LlmQuotaExhausted as error:
            quota = error.why
            await self._put_off(quota, None, quota=error.provider)
        except (Exception, SystemExit) as error:
            await self._failed(asked, error)
        else:
            crashpoints.reach("llm_answered")
            await self._answered(asked, thought)
        if seat is not None:
            await admission.leave(run, self.path, seat)
        return quota

    async def _put_off(self, why: str, retry_after: float | None, *, quota: str = "") -> None:
        self._failures += 1
        pause = backoff.pause(self._failures, retry_after)
        self._resume_at = None if quota else self.op.run.clock.now() + pause
        await self._append(self._draft(
            Kind.BACKOFF, title=f"{self.op.title}: the LLM", why=why[:codec.WORDS_CHARACTERS], count=self._failures,
            resume_at=self._resume_at.isoformat() if self._resume_at else None, **({"quota": quota} if quota else {}),
        ))

    async def _ask_for_more(self, why: str) -> None:
        """Have people see to a quota that is used up; they approve once there is more of it."""
        self._quotas += 1
        question = Question(
            self.op.run, f"{self.path}/quota#{self._quotas}", kind="budget", tiers=TIERS,
            sentence=f"{self.op.title} can not think: a quota is used up. Is there more of it now?",
            details={"budget": "quota", "agent": self.op.name, "why": why},
        )
        question.reason = "A provider of LLMs refuses to answer until somebody pays or raises the quota."
        await self.op.more_or_end(question)

    # -- After it ------------------------------------------------------------------------------------------------------

    async def _answered(self, asked: str, thought: Thought) -> None:
        run, op = self.op.run, self.op
        tokens = thought.tokens_in + thought.tokens_out
        if run.owner.rules().budgets:
            await charging.spent(run, self.path, Price(thought.cost, thought.currency), tokens, agent=op.name)
        first = thought.passed_over[0]["member"] if thought.passed_over else thought.member
        before = op.member or first
        drafts = []
        if before != thought.member:
            why = thought.why_not(before)
            drafts.append(self._draft(Kind.SWITCHED, **{"from": before}, to=thought.member, why=why))
        payload = self._told(
            asked=asked, response=thought.response, text=thought.text[:TEXT_CHARACTERS], calls=list(thought.calls),
            member=thought.member, usage={"input_tokens": thought.tokens_in, "output_tokens": thought.tokens_out},
            tokens=tokens, cost=str(thought.cost), currency=thought.currency, priced=thought.priced,
            passed_over=list(thought.passed_over),
        )
        await self._append(*drafts, self._draft(Kind.LLM, **payload))
        self._take(payload)

    async def _failed(self, asked: str, error: BaseException) -> None:
        name = getattr(error, "code", "") or type(error).__name__
        payload = self._told(asked=asked, error={"type": name, "message": codec.words(error)}, tokens=0, cost="0")
        await self._append(self._draft(Kind.LLM, **payload))
        self._take(payload)

    def _told(self, **more: object) -> Json:
        """What an answer's entry tells of the request."""
        op = self.op
        about = {"turn": self.number, "purpose": self.purpose, "version": op.identity.version if op.identity else 0}
        read = sorted(op.untrusted | op.inherited)
        return {**about, "said": self.said, "heard": self._heard, "untrusted": read, **more}

    def _take(self, payload: Json) -> None:
        """Take the answer into account, live and in replay alike."""
        op, self._payload = self.op, payload
        self.said, op.heard, op.member = payload["said"], payload["heard"], payload.get("member", op.member)
        op.untrusted = set(payload["untrusted"])  # as it was then, whatever the tools' own marks are by now
        op.weight = payload.get("usage", {}).get("input_tokens", 0)
        op.used.turns += 1
        op.used.tokens += payload["tokens"]
        op.used.cost += Decimal(payload["cost"])

    def _draft(self, kind: Kind, **payload: object) -> Draft:
        body = codec.dump({"agent": self.op.name, **payload})
        return Draft(kind=kind, path=self.path, payload=body)

    async def _append(self, *drafts: Draft, side: Sequence[Side] = ()) -> None:
        await self.op.run.append(*drafts, side=side)


def _error_of(error: Json) -> StandfastError:
    """What an answer's entry says of a request that came to nothing, to be raised live and in replay alike."""
    return ERRORS.get(error["type"], AgentFailed)(error["message"])
