"""From a rail item to a sentence that a reviewer understands.

Pure: no database, no clock. `observe` never fails on an odd payload and never shows raw JSON; what HTML escaping does
not cover (direction-changing characters, line breaks, length) is dealt with here. Which items the narrative leaves to
the log is said in `is_quiet`: rulings that simply allow, and clock reads. Everything else appears exactly once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from missions.engine.dependencies import refusal_verdicts
from observability import told_by_agents, told_by_engine, told_by_people, told_by_tools
from observability.rail import RailItem
from observability.telling import Telling
from observability.wording import clean, past, phrase, sentence


class Lane(StrEnum):
    """Who or what an observation is about."""

    AGENT = "agent"  # the mission's own reasoning: its steps and what it observed
    TOOL = "tool"  # something was looked up
    HUMAN = "human"  # people were asked, or answered
    TIMER = "timer"  # time had to pass, or a message to come
    EFFECT = "effect"  # something in the world was changed, or may have been
    ENGINE = "engine"  # starts, takeovers, retries, policy, the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A rail item told to people."""

    item: RailItem
    lane: Lane
    icon: str
    tone: str  # ok, warn, bad, info, human; empty where nothing needs a colour
    sentence: str
    detail: str = ""  # a second, quieter line: a comment, an error
    actor: str = ""  # who did it, where a person did
    follows: bool = False  # goes on with what came before it, so it is drawn smaller
    strong: bool = False  # begins or ends something that matters
    decision: str = ""  # the id of the decision that it is about

    @property
    def at(self) -> dt.datetime:
        """When it happened."""
        return self.item.at

    @property
    def cursor(self) -> str:
        """Its place in the rail."""
        return str(self.item.cursor)

    @property
    def dom_id(self) -> str:
        """The id of its element."""
        return self.item.cursor.dom_id


Teller = Callable[[dict[str, Any]], Telling]


def is_quiet(item: RailItem) -> bool:
    """Whether the narrative leaves this item to the log."""
    notes_itself = item.kind == "step" and item.path.startswith("control#")  # what a control found out for itself
    return item.kind == "now" or notes_itself or (item.kind == "ruling" and item.payload.get("outcome") == "allow")


def observe(item: RailItem) -> Observation:
    """The observation of an item; every kind has one, also kinds that are not known here."""
    payload = item.payload
    if payload.get("redacted") is True:
        lane, icon, told = Lane.ENGINE, "ban", Telling("The content of this entry was redacted.")
    else:
        lane, icon, teller = TELLERS.get(item.kind, (Lane.ENGINE, "info", _unknown(item.kind)))
        told = teller(payload)
    if item.kind == "outcome" and payload.get("effect_class") == "read":
        lane, icon = Lane.TOOL, "search"
    return Observation(
        item=item, lane=lane, icon=told.icon or icon, tone=told.tone, sentence=told.sentence, detail=told.detail,
        actor=told.actor, follows=told.follows, strong=told.strong, decision=clean(payload.get("decision") or "", 36),
    )  # fmt: skip


def narrate(items: list[RailItem]) -> list[Observation]:
    """The narrative of items, in their order."""
    return [observe(item) for item in items if not is_quiet(item)]


def _unknown(kind: str) -> Teller:
    return lambda _: Telling(f"Recorded: {phrase(kind.replace('_', ' '))}.")


def _started(payload: dict[str, Any]) -> Telling:
    who = clean(payload.get("started_by") or "", 150)
    via = VIA.get(str(payload.get("via", "")), "")
    title = phrase(payload.get("title") or "The mission")
    return Telling(f"{who or 'The system'} started “{title}”{via}.", actor=who, strong=True, tone="info")


VIA = {
    "console": " from the console", "api": " over the API", "command": " from the command line", "mcp": " over MCP",
    "mission": " from another mission", "schedule": " by schedule",
}  # fmt: skip


def _step(payload: dict[str, Any]) -> Telling:
    return Telling(sentence(past(str(payload.get("title") or payload.get("name") or "A step"))))


def _step_failed(payload: dict[str, Any]) -> Telling:
    title = phrase(payload.get("title") or payload.get("name") or "A step")
    return Telling(f"This step failed: {title}.", detail=told_by_tools.error_text(payload), tone="bad", icon="alert")


def _now(payload: dict[str, Any]) -> Telling:
    return Telling("Read the clock.", follows=True)


def _observed(payload: dict[str, Any]) -> Telling:
    warns = payload.get("level") == "warning"
    return Telling(sentence(payload.get("text") or "Observed nothing."), tone="warn" if warns else "",
                   icon="alert" if warns else "")  # fmt: skip


def _decided(payload: dict[str, Any]) -> Telling:
    confidence = payload.get("confidence")
    sure = f" ({confidence:.0%} sure)" if isinstance(confidence, float | int) and 0 <= confidence <= 1 else ""
    found = payload.get("findings")
    doubts = [phrase(one) for one in found if isinstance(one, str)] if isinstance(found, list) else []
    return Telling(f"Decided: {phrase(payload.get('title') or payload.get('name') or 'something')}{sure}.",
                   detail=f"Needs a second look: {'; '.join(doubts)}." if doubts else "", strong=True)  # fmt: skip


def _completed(payload: dict[str, Any]) -> Telling:
    verdict = phrase(str(payload.get("verdict") or "none").replace("_", " "))
    refused = str(payload.get("verdict")) in refusal_verdicts()
    return Telling(f"Verdict: {verdict}.", detail=sentence(payload.get("summary") or ""), strong=True,
                   tone="warn" if refused else "ok", icon="flag")  # fmt: skip


def _failed(payload: dict[str, Any]) -> Telling:
    return Telling("The mission failed. What it had done stands; nothing more will happen.",
                   detail=told_by_tools.error_text(payload), tone="bad", icon="alert", strong=True)  # fmt: skip


def _cancelled(payload: dict[str, Any]) -> Telling:
    who = clean(payload.get("by") or "", 150)
    return Telling(f"{who or 'Somebody'} cancelled the mission.", detail=sentence(payload.get("reason") or ""),
                   actor=who, tone="warn", icon="ban", strong=True)  # fmt: skip


def _takeover(payload: dict[str, Any]) -> Telling:
    return Telling("Worker stopped; another one took over.", tone="warn", detail="Recorded steps are not run again.")


TELLERS: dict[str, tuple[Lane, str, Teller]] = {
    "started": (Lane.ENGINE, "play", _started),
    "step": (Lane.AGENT, "agent", _step),
    "step_failed": (Lane.AGENT, "alert", _step_failed),
    "now": (Lane.TIMER, "clock", _now),
    "observed": (Lane.AGENT, "eye", _observed),
    "decided": (Lane.AGENT, "flag", _decided),
    "ruling": (Lane.ENGINE, "shield", told_by_people.ruling),
    "asked": (Lane.HUMAN, "people", told_by_people.asked),
    "vote": (Lane.HUMAN, "person", told_by_people.vote),
    "retraction": (Lane.HUMAN, "person", told_by_people.retraction),
    "answered": (Lane.HUMAN, "people", told_by_people.answered),
    "intent": (Lane.EFFECT, "effect", told_by_tools.intent),
    "doubt": (Lane.EFFECT, "question", told_by_tools.doubt),
    "probed": (Lane.EFFECT, "search", told_by_tools.probed),
    "backoff": (Lane.ENGINE, "timer", told_by_tools.backoff),
    "retry": (Lane.ENGINE, "retry", told_by_tools.retry),
    "outcome": (Lane.EFFECT, "effect", told_by_tools.outcome),
    "sleep": (Lane.TIMER, "moon", told_by_tools.sleep),
    "slept": (Lane.TIMER, "timer", told_by_tools.slept),
    "await": (Lane.TIMER, "mail", told_by_tools.awaiting),
    "signal": (Lane.TIMER, "mail", told_by_tools.signal),
    "completed": (Lane.ENGINE, "flag", _completed),
    "failed": (Lane.ENGINE, "alert", _failed),
    "cancelled": (Lane.ENGINE, "ban", _cancelled),
    "paused": (Lane.ENGINE, "pause", told_by_engine.paused),
    "resumed": (Lane.ENGINE, "play", told_by_engine.resumed),
    "control": (Lane.HUMAN, "person", told_by_engine.control),
    "timeline": (Lane.ENGINE, "undo", told_by_engine.timeline),
    "chapter": (Lane.ENGINE, "flag", told_by_engine.chapter),
    "won": (Lane.ENGINE, "flag", told_by_engine.won),
    "spawned": (Lane.ENGINE, "play", told_by_engine.spawned),
    "patched": (Lane.ENGINE, "retry", told_by_engine.patched),
    "upgraded": (Lane.ENGINE, "retry", told_by_engine.upgraded),
    "spent": (Lane.ENGINE, "flag", told_by_engine.spent),
    "artifact": (Lane.AGENT, "flag", told_by_engine.artifact),
    "agent": (Lane.AGENT, "agent", told_by_agents.agent),
    "llm": (Lane.AGENT, "agent", told_by_agents.llm),
    "switched": (Lane.AGENT, "retry", told_by_agents.switched),
    "takeover": (Lane.ENGINE, "handover", _takeover),
}
