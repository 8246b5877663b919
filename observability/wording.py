"""How values become words: hostile text, past tenses, money, lists.

Pure. Escaping for HTML is the template's; what is done here is what HTML escaping does not do.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Sequence

SENTENCE_LENGTH = 600
STEPS = ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h"))  # below so many seconds, in this unit; else days
DAY = 86_400
# Titles are imperatives ("Look up the order"); the rail tells what was done.
PAST = {
    "answer": "Answered", "ask": "Asked", "book": "Booked", "build": "Built", "calculate": "Calculated",
    "call": "Called", "cancel": "Cancelled", "charge": "Charged", "check": "Checked", "choose": "Chose",
    "classify": "Classified", "close": "Closed", "collect": "Collected", "compare": "Compared",
    "compute": "Computed", "confirm": "Confirmed", "count": "Counted", "create": "Created", "decide": "Decided",
    "delete": "Deleted", "draft": "Drafted", "extract": "Extracted", "fetch": "Fetched", "file": "Filed",
    "find": "Found", "gather": "Gathered", "get": "Got", "issue": "Issued", "list": "Listed", "load": "Loaded",
    "look": "Looked", "make": "Made", "match": "Matched", "notify": "Notified", "open": "Opened", "parse": "Parsed",
    "pay": "Paid", "plan": "Planned", "post": "Posted", "prepare": "Prepared", "read": "Read", "record": "Recorded",
    "refund": "Refunded", "reserve": "Reserved", "return": "Returned", "reverse": "Reversed", "review": "Reviewed",
    "save": "Saved", "score": "Scored", "search": "Searched", "see": "Saw", "send": "Sent", "show": "Showed",
    "store": "Stored", "summarise": "Summarised", "update": "Updated", "validate": "Validated",
    "verify": "Verified", "work": "Worked", "write": "Wrote",
}  # fmt: skip


def visible(text: str) -> str:
    """The text with invisible and direction-changing characters shown as ⟦U+202E⟧; line breaks and tabs stay."""
    return "".join(_shown(one) for one in text) if not text.isascii() or _CONTROL.search(text) else text


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def _shown(one: str) -> str:
    hidden = unicodedata.category(one) in ("Cf", "Cc", "Cs", "Co") and one not in "\n\t\r\N{SOFT HYPHEN}"
    return f"⟦U+{ord(one):04X}⟧" if hidden else one


def clean(text: object, limit: int = SENTENCE_LENGTH) -> str:
    """One line of text for people: invisible characters shown, blanks collapsed, at most `limit` characters."""
    line = " ".join(visible(str(text)).split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def sentence(text: object) -> str:
    """The text as a sentence: clean, a capital first, a full stop last."""
    line = clean(text)
    if not line:
        return ""
    return f"{line[0].upper()}{line[1:]}{'' if line[-1] in '.!?…:' else '.'}"


def phrase(text: object) -> str:
    """The text as a part of a sentence: clean, no full stop last."""
    return clean(text).rstrip(".")


def past(title: str) -> str:
    """What was done, of a title that says what to do; titles of another form are kept as they are."""
    head, blank, tail = phrase(title).partition(" ")
    return f"{PAST.get(head.lower(), head)}{blank}{tail}"


def listed(words: Sequence[str], joint: str = "and") -> str:
    """The words as in speech: a, then "a and b", then "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit: "40 s", "3 min", "47 h", "2 d"."""
    whole = abs(round(seconds))
    size, unit = next(((size, unit) for below, size, unit in STEPS if whole < below), (DAY, "d"))
    return f"{whole // size} {unit}"


def distance(at: dt.datetime, now: dt.datetime) -> str:
    """How far `at` is from `now`: "3 min ago", "in 2 h", "just now"."""
    seconds = (at - now).total_seconds()
    if abs(round(seconds)) < 5:
        return "just now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(seconds)} ago"
