"""The words and signs of the queue: kinds, states, reversibility, risk. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.models import DecisionKind, DecisionState, OnExpiry, VoteVerdict


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
    DecisionKind.ROLLBACK: Sign("Roll back", "undo"),
    DecisionKind.DIVERGENCE: Sign("Divergence", "alert"),
    DecisionKind.BUDGET: Sign("Budget", "timer"),
    DecisionKind.MEMORY_PROMOTION: Sign("Memory promotion", "document"),
    DecisionKind.POLICY_CHANGE: Sign("Policy change", "shield"),
    DecisionKind.EXTERNAL: Sign("External", "export"),
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
REASONS: dict[str, str] = {
    "wrong_details": "The details are wrong", "missing_evidence": "Evidence is missing",
    "against_policy": "It is against the rules", "duplicate": "It was done already", "not_needed": "It is not needed",
    "other": "Something else",
}  # fmt: skip
