"""What a replay found, in the words of those who review a policy. Pure."""

from __future__ import annotations

from typing import Any

from approvals.models import Change

Json = dict[str, Any]
CHANGES: dict[str, str] = {  # "12 …"
    Change.ESCALATE_ALLOW: "that people were asked about would be allowed without asking",
    Change.DENY_ALLOW: "that were denied would be allowed",
    Change.DENY_ESCALATE: "that were denied would be asked about",
    Change.ALLOW_ESCALATE: "that were allowed would be asked about",
    Change.ALLOW_DENY: "that were allowed would be denied",
    Change.ESCALATE_DENY: "that people were asked about would be denied",
    Change.ESCALATE_OTHER: "would be asked of other people",
}


def in_short(summary: Json) -> str:
    """One sentence: how many differ, and what matters most of it."""
    actions, differing = summary["actions"], summary["differing"]
    head = f"Of {actions:,} actions, {differing:,} would be ruled on otherwise"
    told = findings(summary)
    return f"{head}. {told[0]}" if told else f"{head}."


def findings(summary: Json) -> list[str]:
    """What reviewers ask first, the gravest first; only what is so."""
    people = summary["people"]
    asked = f"It would have asked {_times(people['asks_more'], 'more')}"
    back = people["asks_more_undone"]
    rolled_back = f", {back:,} of which {'was' if back == 1 else 'were'} rolled back later"
    told = [
        (people["allows_rejected"], f"It would have allowed {people['allows_rejected']:,} that people rejected."),
        (people["denies_approved"], f"It would have denied {people['denies_approved']:,} that people approved."),
        (people["asks_more"], f"{asked}{rolled_back if back else ''}."),
        (people["denies_undone"], f"It would have denied {people['denies_undone']:,} that were rolled back later."),
        (people["allows_expired"], f"It would have allowed {people['allows_expired']:,} that nobody decided in time."),
        (people["asks_less"], _less(people)),
        (summary["faulty"], f"A rule of it ended in an error on {summary['faulty']:,}."),
        (summary["unrecorded"],
         f"{summary['unrecorded']:,} earlier rulings do not say what was ruled on; they are left out."),
    ]
    return [text for number, text in told if number]


def _less(people: Json) -> str:
    approved = people["allows_approved"]
    same = f"; people approved {approved:,} of these" if approved else ""
    return f"It would have asked {_times(people['asks_less'], 'fewer')}{same}."


def _times(number: int, word: str) -> str:
    return f"{number:,} {word} time{'' if number == 1 else 's'}"
