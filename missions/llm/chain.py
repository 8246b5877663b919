"""The way to an LLM: `model_for` a chain of members, each `PROVIDER/MODEL`, asked in order until one answers.

Promises that an answer takes bounded bytes and time, that its metadata says who gave it (accounts.py), and that what no
member answers is one of three errors: wait, ask a person, give up. Retries, waiting and parking are the caller's.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from django.conf import settings

from missions.errors import LlmRefused

if TYPE_CHECKING:  # the library takes seconds to import
    from pydantic_ai.models import Model

NONE = "No LLM is configured here: LLM_PROVIDERS and LLM_CHAIN name them (docs/llm.md)."


@functools.cache
def _members() -> ModuleType:
    """What talks to providers; its libraries take seconds to import, which a process that asks no LLM need not pay."""
    return importlib.import_module("missions.llm.members")


def warm() -> None:
    """Import what talks to LLMs, if any are configured, so that the first question does not hold up an event loop."""
    for provider in settings.LLM_PROVIDERS.values():
        _members().shape(provider.api)


def names(chain: Sequence[str], *, after: str = "") -> tuple[str, ...]:
    """The members that are asked: the default chain where this one is empty, those behind `after` if that is one."""
    members = tuple(chain) or tuple(settings.LLM_CHAIN)
    return members[members.index(after) + 1 :] if after in members else members


def model_for(chain: Sequence[str], *, after: str = "") -> Model:
    """A model that asks the members in order, only those behind `after` if that is one; retries of SDKs are off.

    Its requests raise LlmWait, LlmQuotaExhausted or LlmRefused. Raises LlmRefused where there is no member to ask.
    """
    found, absent = [], []
    library = _members()
    for name in names(chain, after=after):
        provider, _, model = name.partition("/")
        if model and provider in settings.LLM_PROVIDERS:
            found.append(library.member(settings.LLM_PROVIDERS[provider], model))
        else:
            absent.append(library.PassedOver(name, library.Kind.NEVER, f"no provider {provider!r} is configured here"))
    if not found:
        over = [failure.plain for failure in absent]
        raise LlmRefused("; ".join(f"{f['member']}: {f['why']}" for f in over) or NONE, passed_over=over)
    model_of_chain: Model = library.Chain(found, absent)
    return model_of_chain


async def close() -> None:
    """Close what this event loop holds to providers; for an orderly end, and between tests."""
    transport = sys.modules.get("missions.llm.transport")  # absent: nobody was asked
    if transport is not None:
        await transport.close()
