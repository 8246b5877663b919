"""The console's words and signs for missions and effects. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from missions.models import EffectState, State
from observability.wording import clean, phrase


@dataclass(frozen=True, slots=True)
class Badge:
    """A state as word, icon and tone; the tone alone never carries the meaning."""

    word: str
    icon: str
    tone: str = ""


STATES: dict[str, Badge] = {
    State.READY: Badge("Ready", "clock", "info"),
    State.RUNNING: Badge("Running", "play", "info"),
    State.SLEEPING: Badge("Sleeping", "moon", ""),
    State.WAITING: Badge("Waiting", "clock", "human"),
    State.PAUSED: Badge("Paused", "pause", "warn"),
    State.COMPLETED: Badge("Completed", "check", "ok"),
    State.FAILED: Badge("Failed", "alert", "bad"),
    State.CANCELLED: Badge("Cancelled", "ban", ""),
    State.EXPORTED: Badge("Exported", "export", ""),
}
EFFECTS: dict[str, Badge] = {
    EffectState.INTENDED: Badge("Under way", "clock", "info"),
    EffectState.DONE: Badge("Done", "check", "ok"),
    EffectState.NOT_DONE: Badge("Not done", "ban", ""),
    EffectState.IN_DOUBT: Badge("In doubt", "question", "warn"),
    EffectState.UNDONE: Badge("Undone", "undo", ""),
}
REASONS = {
    "": "by a person", "needs_attention": "it needs attention", "frozen": "frozen", "quarantined": "quarantined",
    "paused by a person": "by a person", "stopped by a person": "stopped at once by a person",
    "divergence": "the code no longer does what was recorded",
    "violation": "the code does what only tools may do", "control given up": "what was asked of it was left half done",
    "control failed": "what was asked of it broke off", "agent unknown": "an agent that works on it is not known here",
    "agent changed": "an agent that works on it is another one here",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What a mission waits for; `before` and `after` stand around `name`, which leads there if it is a page."""

    kind: str  # decision, limit, stop, budget, signal, mission, timer, tool, llm, attention
    icon: str
    name: str
    before: str = ""
    after: str = ""
    decision: str = ""
    mission: str = ""


def wait_of(waits_for: str, state: str, reason: str, sentence: str, groups: list[str]) -> Wait | None:
    """A mission's wait in words; None where it waits for nothing.

    `sentence` and `groups` are those of the decision that it waits for, empty where it is another kind of wait.
    """
    kind, _, name = waits_for.partition(":")
    if state == State.PAUSED and kind == "decision":
        before = f"Paused: {REASONS.get(reason, phrase(reason))}. Asked of {', '.join(groups) or 'people'}: "
        asked = clean(sentence) or "a decision"
        return Wait(kind="attention", icon="pause", before=before, name=asked, decision=name)
    if state == State.PAUSED:
        return Wait(kind="attention", icon="pause", before="Paused: ", name=REASONS.get(reason, phrase(reason)))
    if kind == "decision":
        who = ", ".join(groups) or "a decision"
        return Wait(kind=kind, icon="people", before=f"{who}: ", name=clean(sentence) or "a decision", decision=name)
    if kind == "signal":
        return Wait(kind=kind, icon="mail", before="the message ", name=f"“{phrase(name.replace('_', ' '))}”")
    if kind == "mcp":
        server, _, resource = name.partition(" ")
        return Wait(kind=kind, icon="mail", before=f"a change of {phrase(resource)} of ", name=phrase(server))
    if kind in ("child", "mission"):
        before = "the end of " if kind == "child" else "its turn after "
        return Wait(kind="mission", icon="mission", before=before, name="another mission", mission=name)
    if kind == "timer":
        return Wait(kind=kind, icon="timer", name="a set time")
    if kind == "stop":
        stopped = phrase(name.partition(":")[2]) or "everything"
        return Wait(kind=kind, icon="ban", before="a person to lift the stop of ", name=stopped)
    if kind == "changed":
        return Wait(kind="stop", icon="people", before="people to look at what has changed in ", name=phrase(name))
    if kind == "limit":
        scope, _, limited = name.partition(":")
        what = f"the limit on all {scope}s" if limited == "*" else f"the limit on {phrase(limited)}"
        return Wait(kind=kind, icon="people", before="its turn: ", name=what)
    if kind == "budget":
        what = f"the budget {phrase(name)}" if name else "the mission’s budget"
        return Wait(kind=kind, icon="timer", before="room in ", name=what)
    if kind == "tool":
        return Wait(kind=kind, icon="retry", name=phrase(name), after=" to answer again")
    if kind == "llm":
        whose = f"the LLM of {phrase(name)}" if name else "the LLM"
        return Wait(kind=kind, icon="retry", name=whose, after=" to answer again")
    return None
