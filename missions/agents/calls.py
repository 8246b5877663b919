"""The calls that an LLM wants made: side by side, each in a branch of its own, each through the gate like any other.

What policy or people refuse, what a tool declares to have failed, and arguments that do not fit go back to the LLM,
which may go on otherwise. What ends a mission's own code (a person's stop, a budget) ends the agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from missions.agents import words
from missions.agents.thoughts import Gave, Given, Wanted
from missions.effects.call import ToolRun
from missions.engine import codec
from missions.engine.branches import current_branch, durable
from missions.engine.groups import Group, Until
from missions.errors import (
    AgentFailed,
    AgentInactive,
    ChangesRequested,
    Denied,
    EffectNotDone,
    Expired,
    InvalidInput,
    Rejected,
    ResultUnusable,
    StandfastError,
    ToolFailed,
    UnknownAgent,
    UnknownTool,
)
from missions.tools import arguments
from missions.tools.registry import get_tool
from missions.tools.spec import ToolSpec

if TYPE_CHECKING:
    from missions.agents.running import AgentRun

AGENT_PREFIX = "agent:"


class Batch:
    """All calls of one answer."""

    def __init__(self, op: AgentRun, number: int, wanted: Sequence[Wanted]) -> None:
        self._op, self._number, self._wanted = op, number, wanted
        self._actor = op.actor
        self._sources: set[str] = set()

    async def perform(self) -> list[Given]:
        """What each gave, in their order. Raises the first error that is not for the LLM."""
        op = self._op
        calls = [self._one(wanted) for wanted in self._wanted]
        group = Group(op.run, f"{op.path}/calls-{self._number}", calls, Until.ERROR)
        await group.join(op.branch)
        if group.winner is not None:
            raise group.results[group.winner]
        op.untrusted |= self._sources  # what they read reaches the LLM from here on
        return group.results

    def cut_off(self) -> None:
        """A call was cancelled by something else than the engine: the mission stops here."""
        self._op.run.cut_off()

    @durable
    async def _one(self, wanted: Wanted) -> Given:
        try:
            arguments.plain(wanted.args)  # before anything is made of what an LLM wrote
            value = await (self._delegated(wanted) if wanted.name.startswith(AGENT_PREFIX) else self._called(wanted))
        except (InvalidInput, UnknownTool) as error:
            return Given(id=wanted.id, how=Gave.WRONG, content=_wrong(error))
        except (Denied, Rejected, Expired, ChangesRequested) as error:
            return Given(id=wanted.id, how=Gave.REFUSED, content=refused(error))
        except (ToolFailed, EffectNotDone, ResultUnusable, AgentFailed, AgentInactive, UnknownAgent) as error:
            return Given(id=wanted.id, how=Gave.FAILED, content=codec.words(error))
        return Given(id=wanted.id, how=Gave.VALUE, content=words.shown(value))

    async def _called(self, wanted: Wanted) -> Any:
        spec = get_tool(wanted.name)
        branch = current_branch.get()
        call = ToolRun(self._op.run, branch.path(spec.name), spec, wanted.args, actor=self._actor)
        try:
            value = codec.load(codec.dump(await call.perform()))
        except (Denied, Rejected, Expired, ChangesRequested):
            raise  # it was not called: these are our own people's words
        except StandfastError:
            self._heard(spec)  # what it says of its failure is its words as well
            raise
        self._heard(spec)
        edited = call.progress.edited
        return value if edited is None else {"approved_with_other_arguments": edited, "result": value}

    def _heard(self, spec: ToolSpec) -> None:
        if spec.untrusted:
            self._sources.add(spec.name)

    async def _delegated(self, wanted: Wanted) -> Any:
        name = wanted.name.removeprefix(AGENT_PREFIX)
        below = self._op.below(current_branch.get(), name, wanted.args)
        try:
            return (await below.perform()).output
        finally:
            self._sources |= below.untrusted


def refused(error: Denied | Rejected | Expired | ChangesRequested) -> str:
    """What an LLM is told of a call that was not let happen."""
    said = error.comment if isinstance(error, ChangesRequested) else codec.words(error)
    if isinstance(error, ChangesRequested):
        return f"Not done. People ask for changes: {said} Change what you want to do accordingly, and ask again."
    if isinstance(error, Denied):
        return f"Not done. Policy denies it: {said} Do not try to get around this; go on without it, or stop."
    if isinstance(error, Expired):
        return f"Not done. {said} You may go on without it, or ask again later."
    return f"Not done. People rejected it: {said}"


def _wrong(error: InvalidInput | UnknownTool) -> str:
    told = [f"{one.get('field') or 'arguments'}: {one.get('message')}" for one in getattr(error, "errors", ())]
    return "\n".join([codec.words(error), *told])
