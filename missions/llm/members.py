"""Members of a chain as models of Pydantic AI: asked in turn, each failure read, each answer signed with who gave it.

Imports Pydantic AI, which takes a second: only `chain` imports this, when the first LLM is wanted.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

from pydantic_ai import RunContext
from pydantic_ai.exceptions import FallbackExceptionGroup
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from missions.llm import accounts, failures, texts, transport
from missions.llm.failures import Kind, PassedOver
from missions.llm.prices import Tokens
from missions.llm.providers import Provider

logger = logging.getLogger(__name__)

ASKS = 2  # times that a member is asked whose answer can not be read
REFUSAL = "refused because of the content"
CHARACTERS = 4  # of a token, roughly


@dataclass(init=False)
class Member(WrapperModel):
    """One LLM of a chain. Raises PassedOver for each of its failures."""

    def __init__(self, provider: Provider, model: str) -> None:
        super().__init__(shape(provider.api).adapter(provider, model, transport.client(provider)))
        self.of, self.model, self.member = provider, model, f"{provider.name}/{model}"

    async def __aenter__(self) -> Self:
        """The connections belong to the event loop, not to whoever uses them."""
        return self

    async def __aexit__(self, *raised: object) -> None:
        """See `transport.close`."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """One answer, asked for again where it can not be read. Raises PassedOver."""
        for left in reversed(range(ASKS)):
            await transport.turn()
            try:
                response = await self.wrapped.request(messages, model_settings, model_request_parameters)
            except Exception as error:
                passed = failures.read_wrong_shape(error, self.member)
                if passed is None:
                    raise
                if passed.kind is not Kind.NONSENSE or not left:
                    raise passed from error
            else:
                return self._accept(response, messages)
        raise AssertionError("the last ask answers or raises")

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The answer as it comes. Raises PassedOver, also out of the midst of it."""
        await transport.turn()
        try:
            async with self.wrapped.request_stream(
                messages, model_settings, model_request_parameters, run_context
            ) as streamed:
                yield streamed
                self._accept_streamed(streamed, messages)
        except Exception as error:  # also what the reader raises, which is not read as an LLM's failure
            passed = failures.read_wrong_shape(error, self.member)
            if passed is None:
                raise
            raise passed from error

    def _accept(self, response: ModelResponse, messages: list[ModelMessage]) -> ModelResponse:
        if response.finish_reason == "content_filter":
            raise PassedOver(self.member, Kind.NEVER, REFUSAL)
        response.parts = texts.storable(response.parts)
        accounts.note(response, self._record(response, messages))
        return response

    def _accept_streamed(self, streamed: StreamedResponse, messages: list[ModelMessage]) -> None:
        """After its end; only then it is known how it ended."""
        response = streamed.get()
        if response.finish_reason == "content_filter":
            raise PassedOver(self.member, Kind.NEVER, REFUSAL)
        if response.state == "complete" and response.finish_reason is None:
            raise PassedOver(self.member, Kind.WAIT if response.parts else Kind.NONSENSE, failures.BROKEN)
        accounts.note(streamed, self._record(response, messages))

    def _record(self, response: ModelResponse, messages: list[ModelMessage]) -> dict[str, Any]:
        tokens = accounts.counted(response.usage)
        uncounted = not (tokens.input or tokens.output)
        if uncounted:  # a server that counts nothing must not be a way around a budget
            tokens = Tokens(input=_roughly(messages), output=_roughly([response]))
        return accounts.record(self.of, self.model, tokens, estimated=uncounted)


@dataclass(init=False)
class Chain(FallbackModel):
    """Members asked in order. Raises LlmWait, LlmQuotaExhausted or LlmRefused where none of them answers."""

    def __init__(self, members: Sequence[Member], absent: Iterable[PassedOver] = ()) -> None:
        super().__init__(*members, fallback_on=(PassedOver,))
        self._members, self._absent = list(members), list(absent)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The first answer."""
        try:
            response = await super().request(messages, model_settings, model_request_parameters)
        except FallbackExceptionGroup as group:
            raise self._failed(group) from group
        accounts.note(response, self._passed_over(response))
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """The first answer that begins; what breaks it off later passes over the whole chain, for nobody can go on."""
        try:
            async with super().request_stream(
                messages, model_settings, model_request_parameters, run_context
            ) as streamed:
                accounts.note(streamed, self._passed_over(streamed))
                yield streamed
        except FallbackExceptionGroup as group:
            raise self._failed(group) from group
        except PassedOver as broken:
            raise failures.verdict([*self._absent, broken]) from broken

    def _failed(self, group: FallbackExceptionGroup) -> Exception:
        found = [error for error in group.exceptions if isinstance(error, PassedOver)]
        self._tell(failure.plain for failure in found)
        return failures.verdict([*self._absent, *found])

    def _passed_over(self, answer: ModelResponse | StreamedResponse) -> dict[str, Any]:
        """Each attempt that failed is that of the next member, in order."""
        attempts = zip(self._members, answer.failed_attempts or (), strict=False)
        told = (f"{PassedOver.__name__}: ", "")
        before = [{"member": m.member, "why": (a.error or "").replace(*told, 1)} for m, a in attempts]
        self._tell(before)
        return accounts.passed_over([*(failure.plain for failure in self._absent), *before])

    def _tell(self, before: Iterable[dict[str, Any]]) -> None:
        for failure in before:
            logger.warning("an LLM was passed over", extra={"action": "llm_passed_over", **failure})


@functools.lru_cache(maxsize=256)
def member(provider: Provider, model: str) -> Member:
    """One LLM of a provider; the same object for the same settings, so that hundreds of missions share it."""
    return Member(provider, model)


@functools.cache
def shape(api: str) -> ModuleType:
    """What writes requests of this shape; importing its SDK takes up to two seconds."""
    return importlib.import_module(f"missions.llm.shapes.{api}")


def _roughly(messages: Sequence[ModelMessage]) -> int:
    parts = (part for message in messages for part in message.parts)
    spoken = (getattr(part, "content", None) or getattr(part, "args", None) or "" for part in parts)
    return sum(len(str(text)) for text in spoken) // CHARACTERS + 1
