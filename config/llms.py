"""LLM_PROVIDERS, LLM_CHAIN and LLM_PRICES: their messages for wrong values. What they mean is told in missions.llm."""

from __future__ import annotations

from collections.abc import Sequence

from config.env import SettingError
from missions.llm import prices, providers
from missions.llm.prices import Price
from missions.llm.providers import Provider


def known(text: str) -> dict[str, Provider]:
    """The providers by name. Raises SettingError, without the text: a key may stand in it by mistake."""
    try:
        return providers.parse(text)
    except ValueError as wrong:
        raise SettingError("LLM_PROVIDERS", "…", str(wrong)) from None


def chain(members: Sequence[str], among: dict[str, Provider]) -> tuple[str, ...]:
    """The default chain. Raises SettingError."""
    try:
        return providers.check_chain(members, among)
    except ValueError as wrong:
        raise SettingError("LLM_CHAIN", ",".join(members), str(wrong)) from None


def priced(text: str) -> dict[str, Price]:
    """The installation's own prices by member. Raises SettingError."""
    try:
        return prices.parse(text)
    except ValueError as wrong:
        raise SettingError("LLM_PRICES", text, str(wrong)) from None
