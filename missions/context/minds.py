"""Agents, and single requests to an LLM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from missions.agents.identities import Identity
from missions.agents.running import AgentRun
from missions.agents.standing import AgentResult, Carried, Errand
from missions.context.base import Calls
from missions.engine import codec
from missions.engine.branches import durable
from missions.errors import InvalidInput, MisusedContext
from missions.models import Kind

GOAL_CHARACTERS = 20_000


class Minds(Calls):
    """The calls that think."""

    @durable
    async def agent(
        self, name: str, *, goal: str, inputs: Any = None, output: type | None = None, turns: int | None = None,
        carried: Carried | dict[str, Any] | None = None,
    ) -> AgentResult:
        """Have an agent work towards a goal; what it came to.

        It works under the version that is in force, calls its tools through the gate like this mission itself, and
        waits for people where policy says so. `output` (a Pydantic model or a dataclass) is the type of its answer;
        without it that is text. With `turns` it stops after so many and hands over as `carried`, for `continue_as`
        and the next chapter; without, all of its turns are replayed whenever the mission is. Raises UnknownAgent,
        AgentInactive, AgentFailed, BudgetExhausted, InvalidInput.
        """
        if not goal.strip() or len(goal) > GOAL_CHARACTERS:
            wrong = f"A goal has 1 to {GOAL_CHARACTERS:,} characters."
            raise InvalidInput(wrong, errors=[{"field": "goal", "message": wrong}])
        if carried is not None and self._run.first.kind != Kind.CHAPTER:
            raise MisusedContext("What an agent hands over is for the next chapter of its mission: continue_as.")
        here = self._here
        plain = codec.load(codec.dump(inputs, limit=codec.INPUT_BYTES))
        errand = Errand(agent=name, goal=goal, inputs=plain, output=output, turns=turns)
        handed = Carried(**carried) if isinstance(carried, dict) else carried
        return await AgentRun(self._run, here, here.path(name), errand, carried=handed).perform()

    @durable
    async def llm(
        self, prompt: str, *, instructions: str = "", output: type | None = None, llm: Sequence[str] = (),
    ) -> Any:
        """One request to an LLM, without tools: its text, or an instance of `output`.

        `llm` is a chain of `provider/model`, by default LLM_CHAIN. Raises AgentFailed, BudgetExhausted.
        """
        here = self._here
        adhoc = Identity(
            agent="", version=0, title="", instructions=instructions, llm=tuple(llm), budget={}, digest="",
        )
        errand = Errand(agent="", goal=prompt, output=output)
        return (await AgentRun(self._run, here, here.path("llm"), errand, adhoc=adhoc).perform()).output
