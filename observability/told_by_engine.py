"""The words for controls, timelines, chapters and children. Pure; see `projections`."""

from __future__ import annotations

from typing import Any

from observability.telling import Telling
from observability.wording import clean, phrase, sentence

Json = dict[str, Any]
VERBS = {
    "pause": "paused the mission", "resume": "let the mission go on", "cancel": "cancelled the mission",
    "stop": "stopped the mission at once", "rollback": "rolled the mission back", "retry": "let the mission try again",
    "amend": "asked for another goal",
}
BY_ITSELF = {
    "attend": "The mission can not go on by itself: people say what becomes of it.",
    "deadline": "The mission's time is up: people say whether it goes on.",
}  # fmt: skip


def paused(payload: Json) -> Telling:
    """A person stopped it, or it needs attention."""
    reason = phrase(str(payload.get("reason") or "no reason given").replace("_", " "))
    text = sentence(reason) if reason.startswith(("paused ", "stopped ")) else f"Paused: {reason}."
    return Telling(text, detail=sentence(payload.get("detail") or ""), tone="warn", icon="pause",
                   strong=True)  # fmt: skip


def resumed(payload: Json) -> Telling:
    """It goes on after a pause."""
    who = clean(payload.get("by") or "", 150)
    text = f"{who} let the mission go on." if who else "The mission goes on."
    return Telling(text, detail=sentence(payload.get("reason") or ""), actor=who, tone="info", strong=True)


def control(payload: Json) -> Telling:
    """A person's control was taken."""
    if text := BY_ITSELF.get(str(payload.get("verb"))):
        return Telling(text, detail=sentence(payload.get("detail") or ""), tone="warn", icon="alert", strong=True)
    who = clean(payload.get("by") or "", 150)
    did = VERBS.get(str(payload.get("verb")), "changed the mission")
    return Telling(f"{who or 'Somebody'} {did}.", detail=sentence(payload.get("reason") or ""), actor=who, tone="warn",
                   strong=True)  # fmt: skip


def timeline(payload: Json) -> Telling:
    """A new timeline opens; what came after the point is left behind, and stays readable."""
    number, to_seq = payload.get("number"), payload.get("to_seq")
    place = f" from entry {to_seq}" if isinstance(to_seq, int) else ""
    named = f"Timeline {number}" if isinstance(number, int) else "A new timeline"
    return Telling(f"{named} goes on{place}; what came after stays readable.",
                   detail=sentence(payload.get("guidance") or payload.get("reason") or ""), tone="info",
                   strong=True)  # fmt: skip


def chapter(payload: Json) -> Telling:
    """A new chapter; its state supersedes the history before it."""
    number = payload.get("chapter")
    return Telling(f"Chapter {number} begins." if isinstance(number, int) else "A new chapter begins.", follows=True)


def won(payload: Json) -> Telling:
    """One of several branches came first."""
    index = payload.get("index")
    which = f"Branch {index + 1}" if isinstance(index, int) and not isinstance(index, bool) else "One branch"
    return Telling(f"{which} came first; the others were cut off.", follows=True)


def spawned(payload: Json) -> Telling:
    """A child mission was started."""
    return Telling(f"Started another mission: {phrase(payload.get('title') or payload.get('type') or 'untitled')}.")


def patched(payload: Json) -> Telling:
    """Whether the code runs with a patch."""
    word = "with" if payload.get("on") else "without"
    return Telling(f"Goes on {word} the change “{phrase(payload.get('name') or 'unnamed')}”.", follows=True)


def upgraded(payload: Json) -> Telling:
    """A later version of the type goes on with it."""
    to = payload.get("to")
    which = f"Version {to} of the code" if isinstance(to, int) else "Newer code"
    return Telling(f"{which} goes on with it.")


def spent(payload: Json) -> Telling:
    """What something has cost."""
    cost, tokens = clean(str(payload.get("cost") or "0"), 40), payload.get("tokens")
    counted = f"{tokens} tokens" if isinstance(tokens, int) and tokens else ""
    amount = " and ".join(word for word in (cost if cost != "0" or not counted else "", counted) if word)
    what = f" on {phrase(payload['what'])}" if payload.get("what") else ""
    return Telling(f"Spent {amount}{what}.", follows=True)


def artifact(payload: Json) -> Telling:
    """A file was kept."""
    return Telling(f"Kept the file “{phrase(payload.get('name') or 'unnamed')}”.")
