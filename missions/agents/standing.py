"""How an agent stands: what it was asked to do, what it has used, and what it hands over to the next chapter. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from missions.governance import Json


@dataclass(slots=True, kw_only=True)
class Used:
    """What an agent has used up since it was given its goal."""

    turns: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)

    def as_json(self) -> Json:
        """As the journal keeps it."""
        return {"turns": self.turns, "tokens": self.tokens, "cost": str(self.cost)}

    @classmethod
    def from_json(cls, data: Json) -> Used:
        """The inverse of `as_json`."""
        return cls(turns=int(data["turns"]), tokens=int(data["tokens"]), cost=Decimal(data["cost"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What an agent is asked to do."""

    agent: str
    goal: str
    inputs: Any = None  # plain JSON
    output: type | None = None  # the type of its answer; None: text
    turns: int | None = None  # of this chapter: after these it stops and hands over; None: it goes on to its end
    depth: int = 0  # how many agents stand above it


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What an unfinished agent hands over to its next chapter: plain JSON, for `continue_as`."""

    summary: str
    used: Json
    version: int
    member: str = ""  # who of the chain answered last
    untrusted: tuple[str, ...] = ()
    heard: Json = field(default_factory=dict)  # how much of what people said it has been told
    raised: Json = field(default_factory=dict)  # by limit: how often people have allowed it once more


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentResult:
    """What an agent came to. `output` is its answer, or None where it is unfinished and `carried` is there."""

    output: Any
    agent: str
    version: int
    turns: int
    tokens: int
    cost: Decimal
    untrusted: tuple[str, ...]
    carried: Carried | None = None
