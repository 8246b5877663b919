"""What crosses between the loop and the record: an LLM's answer, the calls that it wants, what they gave. Pure data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from missions.governance import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """One answer of an LLM, with what it took."""

    response: Json  # the message as the library serialises it
    text: str
    calls: tuple[str, ...]  # the tools that it wants, by their registered names
    member: str  # who answered: provider/model
    tokens_in: int
    tokens_out: int
    cost: Decimal
    currency: str
    priced: bool
    passed_over: tuple[Json, ...] = ()  # {member, why} of those that were asked before

    def why_not(self, member: str) -> str:
        """Why this member did not answer."""
        return next((str(one["why"]) for one in self.passed_over if one["member"] == member), "It answers again.")


Thinking = Callable[[], Awaitable[Thought]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One call that an LLM wants made."""

    id: str  # unique within the agent's run
    name: str  # of the registered tool, or `agent:NAME`
    args: Json


class Gave(StrEnum):
    """How a call ended, for the LLM that wanted it."""

    VALUE = "value"  # its result
    REFUSED = "refused"  # policy or people did not let it happen; or they ask for another way
    FAILED = "failed"  # the tool declares an error
    WRONG = "wrong"  # the arguments do not fit: the LLM may mend them


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the LLM is told of a call."""

    id: str
    how: Gave
    content: Any = field(default="")
