"""The words and signs of simulations. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from approvals.models import Change
from approvals.simulation import wording
from approvals.web.words import Sign

OUTCOMES: dict[str, Sign] = {
    "allow": Sign("Allowed", "check", "ok"), "deny": Sign("Denied", "ban", "bad"),
    "escalate": Sign("People are asked", "people", "human"),
}  # fmt: skip
CHANGES: dict[str, Sign] = {
    Change.ESCALATE_ALLOW: Sign(str(Change.ESCALATE_ALLOW.label), "alert", "bad"),
    Change.DENY_ALLOW: Sign(str(Change.DENY_ALLOW.label), "alert", "bad"),
    Change.DENY_ESCALATE: Sign(str(Change.DENY_ESCALATE.label), "alert", "warn"),
    Change.ALLOW_ESCALATE: Sign(str(Change.ALLOW_ESCALATE.label), "people", "human"),
    Change.ALLOW_DENY: Sign(str(Change.ALLOW_DENY.label), "ban"),
    Change.ESCALATE_DENY: Sign(str(Change.ESCALATE_DENY.label), "ban"),
    Change.ESCALATE_OTHER: Sign(str(Change.ESCALATE_OTHER.label), "handover", "warn"),
}
EFFECTS = {"allow": "allows", "deny": "denies", "escalate": "asks"}
STATES: dict[str, Sign] = {
    "waiting": Sign("Waits for a worker", "clock"), "running": Sign("Running", "play", "info"),
    "paused": Sign("Paused", "pause", "warn"), "finished": Sign("Finished", "check", "ok"),
    "failed": Sign("Failed", "cross", "bad"), "cancelled": Sign("Cancelled", "ban"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """One rule of a trace."""

    name: str
    policy: str
    effect: str
    state: Sign
    why: str  # its error, or the part of its condition that is false
    is_error: bool
    shadow: bool


def rule_line(entry: dict[str, Any]) -> RuleLine:
    """A rule in scope, as the trace has it."""
    is_error = entry["state"] == "error"
    return RuleLine(
        name=entry["name"], policy=entry["policy"], effect=EFFECTS.get(entry["effect"], entry["effect"]),
        state=_state(entry), why=entry.get("error") or entry.get("failing", ""), is_error=is_error,
        shadow=entry.get("mode") == "shadow",
    )


def _state(entry: dict[str, Any]) -> Sign:
    if entry["state"] == "error":
        return Sign("Error, fires" if entry["fired"] else "Error, ignored", "alert", "bad")
    return Sign("Fires", "flag", "info") if entry["fired"] else Sign("Does not hold", "cross")


def counted(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Each kind of difference that there is, the gravest first, in words."""
    return [
        {"change": change, "number": summary["changes"][change], "sign": CHANGES[change],
         "words": wording.CHANGES[change]}
        for change in Change.values if summary["changes"].get(change)
    ]
