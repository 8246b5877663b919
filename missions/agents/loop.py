"""The loop of an agent: the library's, driven turn by turn, with the mission's record beneath it.

Imported when the first agent runs, since the library takes its time. Runs in a task beside the branch of the mission:
all that it wants from the record, an LLM or a tool it asks for over the bridge. It holds no state that replay would
not come to again.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic_ai import Agent, ModelRetry
from pydantic_ai.agent import AgentRun as LibraryRun
from pydantic_ai.capabilities import HandleDeferredToolCalls
from pydantic_ai.exceptions import AgentRunError, ToolFailed
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolDefinition
from pydantic_ai.toolsets import AbstractToolset
from pydantic_ai.toolsets.abstract import ToolsetTool
from pydantic_ai.usage import UsageLimits
from pydantic_core import SchemaValidator, core_schema
from pydantic_graph import End

from missions.agents import offered, words
from missions.agents.bridge import Bridge
from missions.agents.durable import JournalDurability
from missions.agents.standing import AgentResult
from missions.agents.thoughts import Gave, Given, Thought, Wanted
from missions.engine import codec
from missions.errors import AgentFailed
from missions.llm.accounts import reckon
from missions.llm.chain import model_for
from missions.secrets import redacting

if TYPE_CHECKING:
    from missions.agents.running import AgentRun

TRIES = 5  # of arguments, names and answers that do not fit, in a row
MOST_CALLS = 64  # of one answer
MISFITS = f"What its LLM asked for or answered did not fit, {TRIES} times in a row."
TOO_MANY = f"Not done: one answer may hold {MOST_CALLS} calls. Ask for the rest once these are done."
UNLIMITED = UsageLimits(request_limit=None)  # limits are ours, and people are asked
ANYTHING = SchemaValidator(schema=core_schema.any_schema())  # the gateway checks arguments against the tool's schema
VOLATILE = frozenset({"timestamp", "run_id", "conversation_id", "instructions", "metadata"})


async def drive(op: AgentRun, bridge: Bridge) -> AgentResult:
    """Run the agent to its answer, or to the end of its chapter. Raises AgentFailed."""
    loop = Loop(op, bridge)
    try:
        return await loop.run()
    except AgentRunError as error:
        raise AgentFailed(f"{op.title}: {_why(error)}", type=type(error).__name__) from error


def _why(error: AgentRunError) -> str:
    """For people: the library's words are for programmers."""
    return MISFITS if "retries" in str(error).lower() else codec.words(error)


class Loop:
    """One run of the library's loop."""

    def __init__(self, op: AgentRun, bridge: Bridge) -> None:
        self.op, self._bridge = op, bridge
        self.tools = MissionTools(self)
        self._misfits = 0  # answers in a row whose calls all did not fit
        self.run_id = f"{op.run.claimed.uid}/{op.run.claimed.chapter}/{op.path}"

    async def run(self) -> AgentResult:
        """To the answer, or the end of the chapter."""
        name = self.op.name or "llm"
        agent: Agent[Any, Any] = Agent(
            ChainModel(self.op), name=name, output_type=self.op.errand.output or str, deps_type=type(None),
            instructions=self._instructions, toolsets=[self.tools], retries={"tools": TRIES, "output": TRIES},
            capabilities=[JournalDurability(name, self), HandleDeferredToolCalls(handler=self._call)],
        )
        async with agent.iter(self.op.prompt, deps=None, usage_limits=UNLIMITED) as going:
            node = going.next_node
            while not isinstance(node, End):
                if Agent.is_model_request_node(node):
                    if self.op.chapter_is_full:
                        return self.op.unfinished(await self._summary(going, node.request))
                    said = await self._bridge.ask(self.op.begin_turn)
                    node.request.parts = [*node.request.parts, *(UserPromptPart(text) for text in said)]
                node = await going.next(node)
        return self.op.finished(node.data.output)

    def _instructions(self) -> str:
        return self.op.known.instructions

    # -- What it asks for ----------------------------------------------------------------------------------------------

    async def think(self, name: str, cache_key: tuple[object, ...], body: Callable[[], Awaitable[object]]) -> object:
        """One request to an LLM: `body` makes it, in the context of here."""
        messages: Any = cache_key[1]
        return await self._thought(messages[-1], body)

    async def _thought(self, newest: ModelMessage, body: Callable[[], Awaitable[object]]) -> object:
        turn, context = self.op.used.turns + 1, contextvars.copy_context()

        async def thinking() -> Thought:
            running = asyncio.get_running_loop()
            answer: Any = await running.create_task(_coroutine(body), context=context)
            return self._told(turn, answer)

        return await self._bridge.ask(lambda: self.op.think(digest_of(newest), thinking))

    def _told(self, turn: int, answer: dict[str, Any]) -> Thought:
        """What an LLM answered. Calls get ids of ours: providers repeat theirs."""
        calls = []
        for number, part in enumerate(answer["parts"]):
            if part["part_kind"] == "tool-call":
                part["tool_call_id"] = f"t{turn}c{number}"
                calls.append(self.tools.registered(part["tool_name"]))
        codec.dump(answer)  # what can not be written down is no answer; raised here, that is on the record
        (message,) = ModelMessagesTypeAdapter.validate_python([answer])
        if not isinstance(message, ModelResponse):
            raise AgentFailed("The LLM's answer is no answer.")
        took = reckon(message)
        return Thought(
            response=answer, text=_text(message), calls=tuple(calls), member=took.member, cost=took.cost,
            currency=took.currency, priced=took.priced, tokens_in=took.input_tokens, tokens_out=took.output_tokens,
            passed_over=tuple(took.passed_over),
        )

    async def _call(self, ctx: RunContext[Any], requests: DeferredToolRequests) -> DeferredToolResults:
        wanted = [
            Wanted(id=one.tool_call_id, name=self.tools.registered(one.tool_name), args=one.args_as_dict())
            for one in requests.calls
        ]
        made, left = wanted[:MOST_CALLS], wanted[MOST_CALLS:]
        results = DeferredToolResults()
        gave = await self._bridge.ask(lambda: self.op.call(made))
        self._misfits = self._misfits + 1 if all(one.how is Gave.WRONG for one in gave) else 0
        if self._misfits >= TRIES:
            raise AgentFailed(f"{self.op.title}: {MISFITS}")
        for given in gave:
            results.calls[given.id] = _rendered(given)
        results.calls |= {one.id: ToolFailed(TOO_MANY) for one in left}
        return results

    async def _summary(self, going: LibraryRun[Any, Any], newest: ModelRequest) -> str:
        """What the next chapter goes on from: the LLM's own words."""
        text = words.summarise(words.transcript(_lines([*going.all_messages(), newest])), self.op.summary)
        request = ModelRequest(parts=[UserPromptPart(text)])
        model = ChainModel(self.op)

        async def body() -> object:
            answer = await model.request([request], None, ModelRequestParameters())
            return ModelMessagesTypeAdapter.dump_python([answer], mode="json")[0]

        await self._bridge.ask(lambda: self.op.begin_turn("summary"))
        (answer,) = ModelMessagesTypeAdapter.validate_python([await self._thought(request, body)])
        return _text(answer)


def _text(message: ModelMessage) -> str:
    return "\n".join(part.content for part in message.parts if isinstance(part, TextPart))


async def _coroutine(body: Callable[[], Awaitable[object]]) -> object:
    return await body()


def digest_of(message: ModelMessage) -> str:
    """What identifies the newest message of a request, the same on every replay."""
    (plain,) = ModelMessagesTypeAdapter.dump_python([message], mode="json")
    return codec.digest_of(_stable(plain))


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        # Which tools there are is told to an LLM that made one up: by the time of a replay there may be others.
        left_out = {"content"} if (value.get("retry") or {}).get("cause") == "unknown_tool" else set()
        return {name: _stable(item) for name, item in value.items() if name not in VOLATILE | left_out}
    return [_stable(item) for item in value] if isinstance(value, list) else value


def _rendered(given: Given) -> Any:
    if given.how is Gave.WRONG:
        return ModelRetry(str(given.content))
    return ToolFailed(str(given.content)) if given.how is Gave.FAILED else given.content


def _lines(messages: list[ModelMessage]) -> Iterator[tuple[str, str]]:
    """A history as a transcript: who, and what."""
    for message in messages:
        for part in message.parts:
            if isinstance(part, UserPromptPart):
                yield "Told", str(part.content)
            elif isinstance(part, ToolReturnPart):
                yield f"{part.tool_name} gave", words.shown(part.content)
            elif isinstance(part, ToolCallPart):
                yield f"I called {part.tool_name}", words.shown(part.args or {})
            elif isinstance(part, TextPart):
                yield "I said", part.content


class MissionTools(AbstractToolset[Any]):
    """The tools of the agent's version, all of them called by the engine."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._names: dict[str, str] = {}

    @property
    def id(self) -> str | None:
        """One toolset an agent."""
        return "mission"

    def registered(self, wire: str) -> str:
        """The tool's own name; the LLM's where it made one up."""
        return self._names.get(wire, wire)

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        """What is offered in this turn."""
        found = offered.offers(self._loop.op.known.tools)
        self._names = {offer.wire: offer.name for offer in found}
        return {
            offer.wire: ToolsetTool(
                toolset=self, max_retries=TRIES, args_validator=ANYTHING,
                tool_def=ToolDefinition(
                    name=offer.wire, description=offer.description, parameters_json_schema=offer.schema,
                    kind="external",
                ),
            )
            for offer in found
        }

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """Never: the handler of deferred calls has them made."""
        raise AgentFailed(f"The library calls {name} by itself, past the gate.")


class ChainModel(Model[Any]):
    """Whoever the agent's version names for its thinking, asked anew with each request."""

    def __init__(self, op: AgentRun) -> None:
        super().__init__()
        self._op = op

    @property
    def model_name(self) -> str:
        """Not one model: a chain."""
        return "chain"

    @property
    def system(self) -> str:
        """Not one provider."""
        return "standfast"

    async def request(
        self, messages: list[ModelMessage], model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask the chain; no secret that is known here leaves. Raises LlmWait, LlmQuotaExhausted, LlmRefused."""
        model = model_for(self._op.known.llm)
        return await model.request(_without_secrets(messages), model_settings, model_request_parameters)


def _without_secrets(messages: list[ModelMessage]) -> list[ModelMessage]:
    """Only here: what this process knows of secrets changes, and what is on the record of a request may not."""
    plain = ModelMessagesTypeAdapter.dump_python(messages, mode="json")
    clean = redacting.redact(plain)
    return messages if clean == plain else ModelMessagesTypeAdapter.validate_python(clean)
