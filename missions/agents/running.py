"""One agent at work in one branch of a mission: its state, and what its loop has done for it.

The loop itself is a library's (`missions.agents.loop`, imported when it is first needed). It runs beside the branch
and asks for each step; every step is on the record, so a replay comes to the same state without asking any LLM.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from django.conf import settings

from missions.agents import limits, words
from missions.agents.bridge import Bridge
from missions.agents.calls import Batch
from missions.agents.identities import Identity
from missions.agents.standing import AgentResult, Carried, Errand, Used
from missions.agents.thoughts import Given, Thinking, Wanted
from missions.agents.turns import Turn
from missions.data_classes import clearance
from missions.effects.acting import Actor
from missions.effects.questions import Question
from missions.engine.branches import Branch, being_cancelled
from missions.engine.run import Run
from missions.errors import BudgetExhausted, ChangesRequested, Expired, InvalidInput, MisusedContext, Rejected
from missions.governance import Json
from missions.llm import chain

DEEPEST = 3  # agents below agents
PATH_NAME = 100  # characters of one part of a key path
CHAPTER_TOKENS = 60_000  # of one request: what was said before has grown too large to be said again and again


@functools.cache
def _loop() -> ModuleType:
    """The loop; its libraries take a second to import, which a worker without agents need not pay."""
    return importlib.import_module("missions.agents.loop")


def warm() -> None:
    """Import all that agents need, if any LLM is configured, so that the first one does not hold up an event loop."""
    if settings.LLM_PROVIDERS:
        _loop()
        chain.warm()


class AgentRun:
    """One call `m.agent(...)` at one key path."""

    def __init__(
        self, run: Run, branch: Branch, path: str, errand: Errand, *, carried: Carried | None = None,
        adhoc: Identity | None = None,
    ) -> None:
        self.run, self.branch, self.path, self.errand = run, branch, path, errand
        self.identity: Identity | None = adhoc
        self.adhoc = adhoc is not None  # no agent that is known: one request of the mission itself
        self.used = Used.from_json(carried.used) if carried else Used()
        self.member = carried.member if carried else ""
        self.untrusted: set[str] = set(carried.untrusted) if carried else set()  # as its record tells
        self.inherited = frozenset(run.untrusted)  # what the mission had read before, live; recorded with each answer
        # A chapter begins from the first goal, so its amendments are told again.
        self.heard: Json = {**carried.heard, "amendments": 0} if carried else {}
        self.raised: dict[str, int] = dict(carried.raised) if carried else {}
        self.summary = carried.summary if carried else ""
        self._begun = self.used.turns
        self._batches = 0
        self.weight = 0  # tokens of the last request of this chapter
        self._turn: Turn | None = None

    async def perform(self) -> AgentResult:
        """What the agent came to, or what it hands over. Raises AgentFailed, BudgetExhausted, UnknownAgent, …"""
        bridge = Bridge()
        try:
            return await bridge.attend(_loop().drive(self, bridge), self.run.own)
        except asyncio.CancelledError:
            # Somebody cancelled the loop, and not the engine its branch: how it would have gone on, nobody can know.
            if not being_cancelled() and not self.branch.cut_off:
                self.run.cut_off()
            raise

    # -- Who it is -----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The agent's name; empty for one request of the mission itself."""
        return self.errand.agent

    @property
    def title(self) -> str:
        """The agent in words for people."""
        return (self.identity.title if self.identity is not None else "") or self.name or "The mission"

    @property
    def known(self) -> Identity:
        """The version that it works under. Raises MisusedContext before its first turn."""
        if self.identity is None:
            raise MisusedContext("An agent has no version before its first turn.")
        return self.identity

    @property
    def actor(self) -> Actor:
        """In whose name its calls are made now."""
        known = self.known
        return Actor(
            agent=self.name, version=known.version, untrusted=tuple(sorted(self.untrusted)), egress=known.egress,
            clearance=clearance(known.data_classes),
        )

    @property
    def prompt(self) -> str:
        """The first words to the LLM in this chapter."""
        return words.first(self.errand.goal, self.errand.inputs, self.summary)

    def below(self, branch: Branch, name: str, args: Json) -> AgentRun:
        """Another agent that this one gives a part of its work. Raises InvalidInput."""
        if self.errand.depth >= DEEPEST:
            wrong = f"Agents may stand {DEEPEST} deep; do this part yourself."
            raise InvalidInput(wrong, errors=[{"field": "goal", "message": wrong}])
        goal = args.get("goal")
        if not isinstance(goal, str) or not goal.strip():
            raise InvalidInput("Say what it is to do.", errors=[{"field": "goal", "message": "is required"}])
        errand = Errand(agent=name, goal=goal, inputs=args.get("inputs"), depth=self.errand.depth + 1)
        made = AgentRun(self.run, branch, branch.path(f"agent:{name}"[:PATH_NAME]), errand)
        made.untrusted |= self.untrusted  # what this one has read may speak through what it asks for
        return made

    # -- What its loop asks for ----------------------------------------------------------------------------------------

    @property
    def chapter_is_full(self) -> bool:
        """Whether it has had the turns of this chapter, or its history has grown too large, and it hands over."""
        most, made = self.errand.turns, self.used.turns - self._begun
        return most is not None and (made >= most or (made > 0 and self.weight > CHAPTER_TOKENS))

    async def begin_turn(self, purpose: str = "turn") -> list[str]:
        """The next request to the LLM is about to be made; what people have said that belongs to it."""
        await limits.within(self)
        self._turn = Turn(self, self.used.turns + 1, purpose)
        return await self._turn.begin()

    async def think(self, asked: str, thinking: Thinking) -> Json:
        """The LLM's message, from the record or by asking."""
        if self._turn is None:
            raise MisusedContext("A turn is begun before an LLM is asked.")
        turn, self._turn = self._turn, None
        return await turn.answer(asked, thinking)

    async def call(self, wanted: Sequence[Wanted]) -> list[Given]:
        """Make the calls that the LLM wants; what each gave."""
        self._batches += 1
        return await Batch(self, self._batches, wanted).perform()

    async def more_or_end(self, question: Question) -> None:
        """Return once people allow more. Raises BudgetExhausted."""
        try:
            await question.answer()
        except (Rejected, Expired, ChangesRequested) as error:
            raise BudgetExhausted(f"{question.sentence} No: {error}") from error

    # -- The end -------------------------------------------------------------------------------------------------------

    def finished(self, output: Any) -> AgentResult:
        """It came to its answer."""
        return self._result(output, None)

    def unfinished(self, summary: str) -> AgentResult:
        """The chapter is full: what goes on in the next one."""
        carried = Carried(
            summary=words.shown(summary), used=self.used.as_json(), member=self.member, version=self.known.version,
            untrusted=tuple(sorted(self.untrusted)), heard=self.heard, raised=self.raised,
        )
        return self._result(None, carried)

    def _result(self, output: Any, carried: Carried | None) -> AgentResult:
        used = dataclasses.replace(self.used)
        return AgentResult(
            output=output, agent=self.name, version=self.known.version, turns=used.turns, tokens=used.tokens,
            cost=used.cost, untrusted=tuple(sorted(self.untrusted)), carried=carried,
        )
