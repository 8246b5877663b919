"""The words for events: subjects, lines and links. Pure but for the settings that say where the console is.

Nothing beyond the sentence is told of what an event is about: no arguments, no evidence, no comments.
"""

from __future__ import annotations

from django.conf import settings

from approvals.models import Event, EventKind

SUBJECT_LENGTH = 180
HEADS: dict[str, str] = {
    EventKind.OPENED: "Waits for your decision", EventKind.DUE_SOON: "Due soon", EventKind.OVERDUE: "Overdue",
    EventKind.ESCALATED: "Escalated to you", EventKind.SETTLED: "Settled", EventKind.COMMENT: "New comment",
    EventKind.COMPLETED: "Mission completed", EventKind.FAILED: "Mission failed",
    EventKind.ATTENTION: "Mission needs attention", EventKind.STUCK: "Mission is stuck",
    EventKind.IN_DOUBT: "Effect in doubt", EventKind.BUDGET: "Budget used up",
    EventKind.WORKER_DOWN: "Mission workers are down",
}  # fmt: skip
STATES = {
    "approved": "Approved", "rejected": "Rejected", "changes_requested": "Changes requested", "expired": "Expired",
    "withdrawn": "Withdrawn", "superseded": "Superseded", "cancelled": "Mission cancelled",
}  # fmt: skip


def plain(text: str) -> str:
    """One line without characters that show nothing or turn its direction: no header can be made of it."""
    return " ".join("".join(sign for sign in text if sign.isprintable() or sign.isspace()).split())


def head(event: Event) -> str:
    """What happened, in a few words."""
    state = str(event.facts.get("state", ""))
    if event.kind in (EventKind.SETTLED, EventKind.FAILED) and state in STATES:
        return STATES[state]
    return HEADS[event.kind]


def line(event: Event) -> str:
    """What happened and to what, in one line: "Approved by sam: Refund £900.00 to A. Patel"."""
    by = ", ".join(map(str, event.facts.get("by") or ())) if event.kind == EventKind.SETTLED else ""
    verdict = str(event.facts.get("verdict") or "") if event.kind == EventKind.COMPLETED else ""
    told = f"{head(event)}{f' by {by}' if by else ''}{f' ({verdict})' if verdict else ''}"
    return plain(f"{told}: {event.sentence}" if event.sentence else told)


def subject(event: Event) -> str:
    """The subject of a message about it."""
    text = line(event)
    return text if len(text) <= SUBJECT_LENGTH else text[: SUBJECT_LENGTH - 1] + "…"


def link(event: Event) -> str:
    """The page, behind sign-in, on which its reader sees it and may act."""
    base = settings.PUBLIC_URL
    if event.decision_id is not None:
        return f"{base}/queue/{event.decision_id}/"
    return f"{base}/missions/{event.mission_uid}/" if event.mission_uid is not None else f"{base}/health/"
