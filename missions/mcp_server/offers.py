"""The tools that are offered at `/mcp`. Each layer adds its own where its app is set up.

Owns the list and nothing else. An offer is an async function whose annotated parameters become the schema of its
input, and whose returned model becomes that of its output; its docstring is what the calling agent reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

Function = TypeVar("Function", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One tool. What does not `read` may write, and never overwrites or removes anything."""

    function: Callable[..., Awaitable[Any]]
    title: str
    reads: bool


class Told(BaseModel):
    """What a tool answers: the fields that are promised, and whatever else the REST API tells."""

    model_config = ConfigDict(extra="allow")


_offers: dict[str, Offer] = {}


def offer(title: str, *, reads: bool = False) -> Callable[[Function], Function]:
    """Offer this function as a tool under its own name."""

    def add(function: Function) -> Function:
        _offers[function.__name__] = Offer(function=function, title=title, reads=reads)
        return function

    return add


def offered() -> list[Offer]:
    """All tools, in the order in which they were added."""
    return list(_offers.values())
