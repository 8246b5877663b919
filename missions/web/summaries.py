"""One plain line for each kind of journal entry, for the API and the command line.

Pure; reads only the payload shapes that docs/journal.md lists, and says less where a field is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from missions.models import Kind

Json = dict[str, Any]
FOUND = {True: "it happened", False: "it did not happen", None: "no answer"}
ENDED = {"not_done": "not done", "failed": "failed", "unknown": "nobody can tell"}
RULED = {"allow": "Policy allows", "deny": "Policy denies", "escalate": "Policy asks people first about"}


def summary(kind: str, payload: Json) -> str:
    """What an entry tells, in one line of plain words."""
    if payload.get("redacted"):
        return "Redacted"
    teller = TELLERS.get(kind)
    return teller(payload).strip(" :") if teller else kind


def _title(payload: Json) -> str:
    return str(payload.get("title") or payload.get("tool") or payload.get("name") or "")


def _error(payload: Json) -> str:
    error = payload.get("error") or {}
    return str(error.get("message") or error.get("type") or "")


def _outcome(payload: Json) -> str:
    what = str(payload.get("sentence") or _title(payload))
    if payload.get("state") == "done":
        return f"{what}: done already, adopted" if payload.get("adopted") else f"{what}: done"
    return f"{what}: {ENDED.get(str(payload.get('state')), '')}" + (f" ({_error(payload)})" if _error(payload) else "")


def _answered(payload: Json) -> str:
    answer = payload.get("answer") or {}
    by = ", ".join(answer.get("by") or ())
    verdict = str(answer.get("verdict", "")).replace("_", " ").capitalize()
    return f"{verdict} by {by}" if by else verdict


def _spent(payload: Json) -> str:
    cost, tokens = str(payload.get("cost", "0")), payload.get("tokens", 0)
    told = [cost] if cost != "0" or not tokens else []
    return " and ".join([*told, *([f"{tokens} tokens"] if tokens else [])])


def _llm(payload: Json) -> str:
    calls = payload.get("calls") or []
    asked = f"asks for {', '.join(map(str, calls))}" if calls else "answered"
    return f"{payload.get('agent') or 'The LLM'}, turn {payload.get('turn', '')}: {asked}"


def _signal(payload: Json) -> str:
    name = payload.get("name", "")
    if payload.get("child"):
        end = payload.get("payload") or {}
        return f"Child ended: {_title(payload)}: {end.get('verdict') or end.get('state') or ''}"
    return f"No {name} in time" if payload.get("timed_out") else f"Received {name}"


TELLERS: dict[str, Callable[[Json], str]] = {
    Kind.STARTED: lambda p: f"Started: {_title(p)}",
    Kind.STEP: _title,
    Kind.STEP_FAILED: lambda p: f"{_title(p)} failed: {_error(p)}",
    Kind.NOW: lambda p: f"Read the clock: {p.get('at', '')}",
    Kind.OBSERVED: lambda p: str(p.get("text", "")),
    Kind.DECIDED: lambda p: f"Decided: {_title(p)}",
    Kind.RULING: lambda p: f"{RULED.get(str(p.get('outcome')), 'Ruling on')} {_title(p)}: {p.get('reason', '')}",
    Kind.ASKED: lambda p: f"Asks: {p.get('sentence', '')}",
    Kind.ANSWERED: _answered,
    Kind.INTENT: lambda p: f"About to: {p.get('sentence') or _title(p)}",
    Kind.DOUBT: lambda p: f"In doubt: {_title(p)}: {p.get('why', '')}",
    Kind.PROBED: lambda p: f"Probed {_title(p)}: {FOUND.get(p.get('found'), '')}",
    Kind.BACKOFF: lambda p: f"Puts off {_title(p)} until {p.get('resume_at', '')}: {p.get('why', '')}",
    Kind.RETRY: lambda p: f"Again: {_title(p)}: {p.get('why', '')}",
    Kind.OUTCOME: _outcome,
    Kind.SLEEP: lambda p: f"Sleeps until {p.get('until', '')}",
    Kind.SLEPT: lambda p: "Woke up",
    Kind.AWAIT: lambda p: f"Waits for {f'child: {_title(p)}' if p.get('child') else p.get('name', '')}",
    Kind.SIGNAL: _signal,
    Kind.COMPLETED: lambda p: f"Completed: {p.get('summary') or p.get('verdict') or ''}",
    Kind.FAILED: lambda p: f"Failed: {_error(p)}",
    Kind.CANCELLED: lambda p: f"Cancelled: {p.get('reason', '')}",
    Kind.PAUSED: lambda p: f"Paused: {p.get('reason', '')}: {p.get('detail', '')}",
    Kind.RESUMED: lambda p: f"Resumed: {p.get('reason', '')}",
    Kind.CONTROL: lambda p: f"Control {p.get('verb', '')} by {p.get('by', '')}: {p.get('reason', '')}",
    Kind.TIMELINE: lambda p: f"Timeline {p.get('number', '')} goes on from entry {p.get('to_seq', '')}",
    Kind.CHAPTER: lambda p: f"Chapter {p.get('chapter', '')} begins",
    Kind.WON: lambda p: f"Branch {p.get('index', '')} came first",
    Kind.SPAWNED: lambda p: f"Started {_title(p)}",
    Kind.PATCHED: lambda p: f"{'With' if p.get('on') else 'Without'} the patch {p.get('name', '')}",
    Kind.UPGRADED: lambda p: f"Goes on with version {p.get('to', '')}",
    Kind.SPENT: lambda p: f"Spent {_spent(p)}" + (f" on {p['what']}" if p.get("what") else ""),
    Kind.ARTIFACT: lambda p: f"Kept {p.get('name', '')}",
    Kind.AGENT: lambda p: f"Agent {p.get('agent', '')} works under version {p.get('version', '')}",
    Kind.LLM: _llm,
    Kind.SWITCHED: lambda p: f"{p.get('to', '')} answers instead of {p.get('from', '')}: {p.get('why', '')}",
}
