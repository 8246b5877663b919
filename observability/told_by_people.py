"""The words for policy and people: rulings, questions, votes, answers. Pure; see `projections`."""

from __future__ import annotations

from typing import Any

from observability.telling import Telling
from observability.wording import clean, listed, phrase, sentence

Json = dict[str, Any]


def ruling(payload: Json) -> Telling:
    """Policy asks people, denies, or allows."""
    reason = sentence(payload.get("reason") or "")
    again = payload.get("phase") == "dispatch"
    match payload.get("outcome"):
        case "escalate":
            who = ", then ".join(groups(payload)) or "people"
            text = f"Policy asks {who}{' again' if again else ''}: {reason}" if reason else f"Policy asks {who}."
            return Telling(text, tone="human", icon="shield")
        case "deny":
            text = f"Policy denies this{' now' if again else ''}: {phrase(payload.get('title') or 'the action')}."
            return Telling(text, detail=reason, tone="bad", icon="ban")
    return Telling(f"Policy allows this: {phrase(payload.get('title') or 'the action')}.", follows=True)


def groups(payload: Json) -> list[str]:
    """What a payload's tiers are called, in their order: mostly the groups that they ask."""
    tiers = payload.get("tiers")
    if not isinstance(tiers, list):
        return []
    named = [tier.get("name") or tier.get("group") for tier in tiers if isinstance(tier, dict)]
    return [clean(name, 150) for name in named if name]


def asked(payload: Json) -> Telling:
    """A decision was opened; the mission waits."""
    who = ", then ".join(groups(payload)) or "a decision"
    text = f"Waiting for {who}: {sentence(payload.get('sentence') or 'a question')}"
    again = _number(payload.get("round")) > 1
    return Telling(text, detail="Asked again after changes." if again else "", tone="human", icon="clock", strong=True)


VERBS = {"approve": "approved", "reject": "rejected", "request_changes": "asked for changes"}


def vote(payload: Json) -> Telling:
    """One person's vote, with its place in the quorum; one that changed what is asked has none."""
    if payload.get("edited"):
        return _edited(payload)
    who, verdict = clean(payload.get("voter") or "Somebody", 150), str(payload.get("verdict", ""))
    verb = VERBS.get(verdict, "voted")
    if verdict == "approve" and payload.get("choice"):
        verb = f"answered “{phrase(str(payload['choice']).replace('_', ' '))}”"
    elif verdict == "approve" and payload.get("answer") is not None:
        verb = "answered"
    nth, quorum = _number(payload.get("nth")), max(_number(payload.get("quorum")), 1)
    place = f" ({nth} of {quorum})" if verdict == "approve" else ""
    behalf = f" on behalf of {clean(payload['on_behalf_of'], 150)}" if payload.get("on_behalf_of") else ""
    text = f"{who} {verb}{behalf}{place}."
    if payload.get("stands"):
        text = f"What {who} said{behalf} before policy changed stands{place}."
    if verdict == "approve" and nth >= quorum and payload.get("next_group"):
        text += f" Now waiting for {clean(payload['next_group'], 150)}."
    tone, icon = {"approve": ("ok", "check"), "reject": ("bad", "cross")}.get(verdict, ("warn", "undo"))
    return Telling(text, detail=_reasons(payload), tone=tone, icon=icon, actor=who)


def retraction(payload: Json) -> Telling:
    """Somebody took their approval back before anything was done on it."""
    who, reason = clean(payload.get("voter") or "Somebody", 150), clean(payload.get("reason") or "")
    return Telling(
        f"{who} took the approval back; nothing was done on it.", detail=f"“{reason}”" if reason else "",
        tone="warn", icon="undo", actor=who,
    )  # fmt: skip


def _edited(payload: Json) -> Telling:
    who = clean(payload.get("voter") or "Somebody", 150)
    text = f"{who} changed what is asked; others decide on it."
    return Telling(text, detail=_reasons(payload), tone="warn", icon="retry", actor=who)


def _reasons(payload: Json) -> str:
    code = phrase(str(payload.get("reason_code") or "").replace("_", " "))
    comment = clean(payload.get("comment") or "")
    reference = clean(payload.get("reference") or "", 200)
    parts = [code, f"“{comment}”" if comment else "", f"reference {reference}" if reference else ""]
    return " · ".join(part for part in parts if part)


def answered(payload: Json) -> Telling:
    """The mission took the answer and goes on, or gives up."""
    answer = payload.get("answer")
    answer = answer if isinstance(answer, dict) else {}
    by = answer.get("by")
    people = listed([clean(one, 150) for one in by]) if isinstance(by, list | tuple) and by else ""
    if payload.get("changed"):
        text = "What the approval rested on has changed, so it counts no more."
        return Telling(text, detail=clean(answer.get("comment") or ""), tone="warn", icon="undo", strong=True)
    build = ANSWERS.get(str(answer.get("verdict", "")))
    if build is None:
        return Telling("The decision was answered; the mission goes on.", follows=True)
    text, tone = build
    named = text.format(by=f" by {people}" if people else "")
    edited = "With edited values." if answer.get("edited_args") else ""
    return Telling(named, detail=edited, tone=tone, follows=True)


ANSWERS = {
    "approved": ("Approved{by}; the mission goes on.", "ok"),
    "rejected": ("Rejected{by}; the action will not happen.", "bad"),
    "changes_requested": ("Changes were asked for{by}; the mission thinks again.", "warn"),
    "expired": ("Nobody decided in time; the action will not happen.", "warn"),
    "withdrawn": ("The question was withdrawn.", "warn"),
    "superseded": ("The question was replaced by a newer one.", "warn"),
}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
