"""Who answered, who was passed over and why, and what it cost: written into the answer as it comes, read from it later.

The record travels in the response's metadata, which is kept in the journal and never sent to an LLM. So an answer that
is replayed reckons as it did at first, whatever prices and chains have become.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from django.conf import settings

from missions.governance import Json
from missions.llm import prices
from missions.llm.prices import Tokens
from missions.llm.providers import Provider

if TYPE_CHECKING:  # the library takes seconds to import
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import StreamedResponse
    from pydantic_ai.usage import RequestUsage

KEY = "standfast.llm"
MOST_TOKENS = 1_000_000_000  # a server's own count is only its word


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """What one answer took. `cost` is zero where `priced` is False; `estimated`: the server counted no tokens."""

    provider: str
    model: str
    member: str  # "provider/model", as the chain has it
    input_tokens: int
    output_tokens: int
    cost: Decimal
    currency: str
    priced: bool
    passed_over: tuple[Json, ...]  # [{member, why}] of those that were tried before
    estimated: bool = False


def reckon(response: ModelResponse) -> Reckoning:
    """What this answer took, fresh or replayed. One that no chain brought costs nothing, and is not priced."""
    record = (response.metadata or {}).get(KEY) or {}
    tokens = counted(response.usage)
    provider = record.get("provider", response.provider_name or "")
    model = record.get("model", response.model_name or "")
    return Reckoning(
        provider=provider,
        model=model,
        member=f"{provider}/{model}",
        input_tokens=record.get("input_tokens", tokens.input),
        output_tokens=record.get("output_tokens", tokens.output),
        cost=_amount(record.get("cost", "0")),
        currency=record.get("currency", "USD"),
        priced=record.get("priced", False),
        passed_over=tuple(record.get("passed_over", ())),
        estimated=record.get("estimated", False),
    )


def record(provider: Provider, model: str, tokens: Tokens, *, estimated: bool = False) -> dict[str, Any]:
    """The record of an answer, priced as of now: plain JSON."""
    found = prices.cost(tokens, provider, model, settings.LLM_PRICES)
    return {
        "provider": provider.name, "model": model, "input_tokens": tokens.input, "output_tokens": tokens.output,
        "estimated": estimated, "cost": str(found.amount), "currency": found.currency, "priced": found.priced,
    }  # fmt: skip


def note(answer: ModelResponse | StreamedResponse, written: Mapping[str, Any]) -> None:
    """Add this to the answer's record; in place, for a streamed answer may have been taken before it ended."""
    answer.metadata = answer.metadata if answer.metadata is not None else {}
    answer.metadata.setdefault(KEY, {}).update(written)


def passed_over(failures: Sequence[Json]) -> dict[str, Any]:
    """The part of a record that names who was tried before."""
    return {"passed_over": [dict(failure) for failure in failures]}


def counted(usage: RequestUsage) -> Tokens:
    """The tokens as the server counted them, within reason: never negative, never astronomical."""
    given = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    read, made, cached, written = (max(0, min(int(number or 0), MOST_TOKENS)) for number in given)
    cached = min(cached, read)
    return Tokens(input=read, output=made, cached=cached, written=min(written, read - cached))


def _amount(text: Any) -> Decimal:
    try:
        return Decimal(str(text))
    except InvalidOperation:
        return Decimal(0)
