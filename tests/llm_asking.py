"""Asking a chain as an agent's loop does, without the loop. Tests only; imports Pydantic AI."""

from __future__ import annotations

from typing import Any

from pydantic_ai.messages import ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from config import llms
from missions.llm import chain

TOOL = ToolDefinition(
    name="orders_get",
    description="One order.",
    parameters_json_schema={
        "type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"],
    },
)  # fmt: skip


def configure(settings: Any, *providers: str, default: str = "", prices: str = "") -> None:
    """Set what LLM_PROVIDERS, LLM_CHAIN and LLM_PRICES would."""
    settings.LLM_PROVIDERS = llms.known(",".join(providers))
    settings.LLM_CHAIN = llms.chain([default] if default else [], settings.LLM_PROVIDERS)
    settings.LLM_PRICES = llms.priced(prices)


async def ask(*members: str, text: str = "How much was paid?", tools: bool = False, after: str = "") -> ModelResponse:
    """One question to a chain."""
    parameters = ModelRequestParameters(function_tools=[TOOL] if tools else [])
    return await chain.model_for(members, after=after).request(question(text), None, parameters)


async def listen(*members: str, text: str = "How much was paid?", tools: bool = False) -> tuple[ModelResponse, int]:
    """One question whose answer is streamed: the whole answer, and the number of events that it came in."""
    parameters = ModelRequestParameters(function_tools=[TOOL] if tools else [])
    events = 0
    async with chain.model_for(members).request_stream(question(text), None, parameters) as streamed:
        async for _ in streamed:
            events += 1
    return streamed.get(), events


def question(text: str) -> list[Any]:
    """A history of one message."""
    return [ModelRequest(parts=[UserPromptPart(text)])]
