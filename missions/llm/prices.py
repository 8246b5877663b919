"""What tokens cost: the installation's own table first, then the public prices that ship with `genai-prices`.

Pure but for the packaged table, which is read once and never fetched. A member without a price costs nothing, and the
record says that it has none.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from missions.llm.providers import Provider

MILLION = Decimal(1_000_000)
FORM = "PROVIDER/MODEL: {input: 0.20, output: 1.60, cached: 0.02, currency: USD}, prices per million tokens"
PLACES = Decimal("0.000000001")  # smaller than one token of the cheapest LLM


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Per million tokens; `cached` is for input tokens that the provider had already read, by default as `input`."""

    input: Decimal
    output: Decimal
    cached: Decimal
    currency: str = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What one answer took: `input` includes what was read from the provider's cache and written to it."""

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one answer cost; unpriced is zero, and no statement that it was free."""

    amount: Decimal = Decimal(0)
    currency: str = "USD"
    priced: bool = False


def parse(text: str) -> dict[str, Price]:
    """LLM_PRICES: the path of a YAML file, or YAML itself where it begins with `{`. Raises ValueError."""
    if not text:
        return {}
    try:
        read = yaml.safe_load(text if text.startswith("{") else Path(text).read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"a file that can be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f"YAML of the form {FORM}") from None
    if not isinstance(read, dict):
        raise ValueError(f"YAML of the form {FORM}")
    return {str(member): _price(str(member), entry) for member, entry in read.items()}


def of(member: str, table: Mapping[str, Price]) -> Price | None:
    """The price of `provider/model`: its own entry, else the first whose glob fits."""
    if member in table:
        return table[member]
    return next((price for pattern, price in table.items() if fnmatchcase(member, pattern)), None)


def cost(
    tokens: Tokens, provider: Provider, model: str, table: Mapping[str, Price], *, at: dt.datetime | None = None
) -> Cost:
    """What these tokens cost with this LLM, to nine places."""
    price = of(f"{provider.name}/{model}", table)
    if price is None:
        return _public(tokens, provider, model, at)
    fresh = tokens.input - tokens.cached
    amount = (fresh * price.input + tokens.cached * price.cached + tokens.output * price.output) / MILLION
    return Cost(amount=amount.quantize(PLACES), currency=price.currency, priced=True)


def _public(tokens: Tokens, provider: Provider, model: str, at: dt.datetime | None) -> Cost:
    """By the packaged table, found by the provider's address, so that a local LLM with a famous name costs nothing."""
    where = {"provider_id": provider.prices} if provider.prices else {"provider_api_url": provider.base_url}
    library = _library()
    usage = library.Usage(
        input_tokens=tokens.input, output_tokens=tokens.output,
        cache_read_tokens=tokens.cached, cache_write_tokens=tokens.written,
    )  # fmt: skip
    try:
        found = library.calc_price(usage, model, genai_request_timestamp=at, **where)
    except (LookupError, ValueError):  # not listed, or counts that its entry can not price
        return Cost()
    return Cost(amount=Decimal(found.total_price).quantize(PLACES), priced=True)


@functools.cache
def _library() -> ModuleType:
    """The packaged prices; a third of a second to import, which a process without LLMs need not pay."""
    return importlib.import_module("genai_prices")


def _price(member: str, entry: Any) -> Price:
    known = {"input", "output", "cached", "currency"}
    if not isinstance(entry, dict) or not {"input", "output"} <= set(entry) <= known or "/" not in member:
        raise ValueError(f"{FORM}; {member!r} is different")
    currency = str(entry.get("currency", "USD"))
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise ValueError(f"a currency of three capital letters for {member!r}")
    given = {name: _money(member, entry[name]) for name in ("input", "output", "cached") if name in entry}
    return Price(**{"cached": given["input"], **given}, currency=currency)


def _money(member: str, value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite() or not 0 <= amount <= MILLION:
        raise ValueError(f"prices from 0 to 1,000,000 for {member!r}")
    return amount
