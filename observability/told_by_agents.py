"""What agents do, in sentences: under which version they work, what they thought, and who answered for them. Pure."""

from __future__ import annotations

from typing import Any

from observability.telling import Telling
from observability.wording import phrase, sentence

Json = dict[str, Any]
NAMED = 6  # calls of one turn that are named; the rest is counted


def agent(payload: Json) -> Telling:
    """An agent works under a version of its identity from here on."""
    name, version, before = _name(payload), payload.get("version"), payload.get("from")
    if isinstance(before, int):
        return Telling(f"{name} goes on under version {version}; until here it was version {before}.", tone="info")
    return Telling(f"{name} works under version {version}.", follows=True)


def llm(payload: Json) -> Telling:
    """An LLM answered: it asks for tools, or comes to an end."""
    name, turn = _name(payload), payload.get("turn")
    at = f" (turn {turn})" if isinstance(turn, int) and not isinstance(turn, bool) else ""
    asked = _calls(payload.get("calls"))
    text = sentence(payload["text"]) if isinstance(payload.get("text"), str) and payload["text"] else ""
    return Telling(f"{name} wants to use {asked}{at}." if asked else f"{name} came to an answer{at}.", detail=text)


def switched(payload: Json) -> Telling:
    """Another provider answers from here on."""
    to, before = phrase(payload.get("to") or "another LLM"), phrase(payload.get("from") or "the one before")
    return Telling(f"{to} answers from here on instead of {before}.", detail=sentence(payload.get("why") or ""),
                   tone="warn")  # fmt: skip


def _name(payload: Json) -> str:
    return phrase(payload.get("agent") or "The agent")


def _calls(calls: Any) -> str:
    if not isinstance(calls, list):
        return ""
    named = [phrase(one) for one in calls[:NAMED] if isinstance(one, str)]
    more = f" and {len(calls) - NAMED} more" if len(calls) > NAMED else ""
    return ", ".join(named) + more
