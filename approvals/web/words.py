"""The words and signs of the queue: kinds, states, reversibility, risk. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.models import DecisionKind, DecisionState, DeliveryState, OnExpiry, ReasonCode, VoteVerdict


def plain(text: str) -> str:
    """The text without characters that show nothing or turn its direction, for one line of plain text."""
    return "".join(sign for sign in text if sign.isprintable())


@dataclass(frozen=True, slots=True)
class Sign:
    """A word with its icon and tone; the tone alone never carries the meaning."""

    word: str
    icon: str
    tone: str = ""


KINDS: dict[str, Sign] = {
    DecisionKind.ACTION: Sign("Action", "effect"),
    DecisionKind.PLAN: Sign("Plan", "flag"),
    DecisionKind.QUESTION: Sign("Question", "question"),
    DecisionKind.VALIDATION: Sign("Validation", "shield"),
    DecisionKind.IN_DOUBT: Sign("In doubt", "question", "warn"),
    DecisionKind.STANDING: Sign("Standing effect", "effect", "warn"),
    DecisionKind.ROLLBACK: Sign("Roll back", "undo"),
    DecisionKind.DIVERGENCE: Sign("Divergence", "alert", "warn"),
    DecisionKind.BUDGET: Sign("Budget", "timer"),
    DecisionKind.MEMORY_PROMOTION: Sign("Memory promotion", "document"),
    DecisionKind.POLICY_CHANGE: Sign("Policy change", "shield"),
    DecisionKind.EXTERNAL: Sign("External", "export"),
    DecisionKind.TOOL_CHANGE: Sign("Tool change", "tool", "warn"),
}
HEADINGS: dict[str, str] = {
    DecisionKind.IN_DOUBT: "What may have happened", DecisionKind.STANDING: "What was done, and what is wanted now",
    DecisionKind.ROLLBACK: "What could not be undone", DecisionKind.DIVERGENCE: "What no longer fits",
    DecisionKind.QUESTION: "What is asked", DecisionKind.BUDGET: "What is used up",
    DecisionKind.TOOL_CHANGE: "What is different",
}  # fmt: skip
# What each choice of the engine's own questions does; kind, then value.
DOES: dict[tuple[str, str], str] = {
    (DecisionKind.IN_DOUBT, "happened"): "It counts as done, with the reference that you give. It is not called again.",
    (DecisionKind.IN_DOUBT, "retry"): "It is called anew. If it did happen after all, it happens twice.",
    (DecisionKind.IN_DOUBT, "roll_back"): "The mission is cancelled, and what it did before is undone where it can be."
    " This effect stays in doubt, on the record.",
    (DecisionKind.STANDING, "adopt"): "Nothing is called; the mission goes on as if this were what it wanted.",
    (DecisionKind.STANDING, "both"): "It is called with the new arguments, and what was done before stands beside it.",
    (DecisionKind.STANDING, "stop"): "Nothing is called, and the mission ends.",
    (DecisionKind.ROLLBACK, "retry"): "The tool that undoes it is called again.",
    (DecisionKind.ROLLBACK, "leave"): "The effect stands. The rest is undone and the mission goes on.",
    (DecisionKind.DIVERGENCE, "retry"): "Its history is replayed again, on whatever code the workers have then. Nothing"
    " is undone.",
    (DecisionKind.DIVERGENCE, "roll_back"): "Effects after the last matching entry are undone where they can be; the"
    " mission goes on from there, on a new timeline.",
    (DecisionKind.DIVERGENCE, "accept"): "Nothing is undone. The mission goes on from the last matching entry, on a new"
    " timeline, and adopts what was done where the code asks for the same.",
    (DecisionKind.DIVERGENCE, "cancel"): "The mission ends. What it did stands.",
    (DecisionKind.BUDGET, "extend"): "Whoever has room by then goes on; the next period begins with the usual amount.",
    (DecisionKind.BUDGET, "wait"): "Nobody is asked again before the next period.",
    (DecisionKind.BUDGET, "stop"): "Their missions are told that the budget is exhausted; they end, or handle it.",
    (DecisionKind.QUESTION, "go_on"): "It goes on, however long it takes.",
    (DecisionKind.QUESTION, "extend"): "It goes on, and people are asked again when that time is up.",
    (DecisionKind.QUESTION, "cancel"): "The mission ends. What it did stands.",
}
LABELS: dict[tuple[str, str], str] = {
    (DecisionKind.DIVERGENCE, "why"): "How the code differs from the record",
    (DecisionKind.DIVERGENCE, "matched_seq"): "Last entry that matches",
    (DecisionKind.ROLLBACK, "why"): "Why it could not be undone",
    (DecisionKind.ROLLBACK, "seq"): "Entry of the effect", (DecisionKind.ROLLBACK, "effect"): "Effect",
    (DecisionKind.IN_DOUBT, "why"): "Why it is in doubt",
    (DecisionKind.STANDING, "was_done"): "What was done, and stands",
    (DecisionKind.STANDING, "stands"): "Key of what was done",
    (DecisionKind.STANDING, "stands_seq"): "Entry of what was done",
    (DecisionKind.TOOL_CHANGE, "changed_tool"): "Tool",
    (DecisionKind.EXTERNAL, "source"): "Who asks, by their own word",
}
STATES: dict[str, Sign] = {
    DecisionState.OPEN: Sign("Open", "people", "human"),
    DecisionState.APPROVED: Sign("Approved", "check", "ok"),
    DecisionState.REJECTED: Sign("Rejected", "cross", "bad"),
    DecisionState.CHANGES_REQUESTED: Sign("Changes requested", "retry", "warn"),
    DecisionState.EXPIRED: Sign("Expired", "clock", "warn"),
    DecisionState.WITHDRAWN: Sign("Withdrawn", "ban"),
    DecisionState.SUPERSEDED: Sign("Superseded", "handover"),
}
DELIVERIES: dict[str, Sign] = {
    DeliveryState.WAITING: Sign("Waiting", "clock", "info"), DeliveryState.SENDING: Sign("Sending", "play", "info"),
    DeliveryState.SENT: Sign("Sent", "check", "ok"), DeliveryState.FAILED: Sign("Failed", "alert", "bad"),
    DeliveryState.DROPPED: Sign("Dropped", "ban"),
}  # fmt: skip
REVERSIBILITY: dict[str, Sign] = {
    "read": Sign("Changes nothing", "eye"),
    "compensable": Sign("Can be undone", "undo"),
    "reversible": Sign("Undo by hand", "person"),
    "irreversible": Sign("Irreversible", "alert", "bad"),
}
UNDO: dict[str, str] = {
    "read": "It only reads; there is nothing to undo",
    "compensable": "A roll back undoes it",
    "reversible": "Nothing undoes it by itself; people can correct it afterwards",
    "irreversible": "Nothing can take it back once it has happened",
}
RISKS: dict[str, Sign] = {
    "low": Sign("Low risk", "shield"), "medium": Sign("Medium risk", "shield", "warn"),
    "high": Sign("High risk", "alert", "bad"),
}  # fmt: skip
VOTED: dict[str, str] = {
    VoteVerdict.APPROVE: "approved", VoteVerdict.REJECT: "rejected", VoteVerdict.REQUEST_CHANGES: "asked for changes",
}
AFTER_TIME: dict[str, str] = {
    OnExpiry.REJECT: "then it expires and the action does not happen",
    OnExpiry.ESCALATE: "then the next tier is asked", OnExpiry.HOLD: "it stays open after that",
}  # fmt: skip
REASONS: dict[str, str] = {str(value): str(label) for value, label in ReasonCode.choices}
