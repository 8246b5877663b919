"""The words for effects, retries and waits. Pure; see `projections`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from observability import told_by_jobs
from observability.telling import Telling
from observability.wording import clean, past, phrase, sentence

Json = dict[str, Any]
QUOTES = str.maketrans("“”", "''")
ARGUMENTS, ARGUMENT_LENGTH = 3, 40  # that a sentence without words of its own names, and characters of each


def error_text(payload: Json) -> str:
    """The message of a payload's error, as a sentence; never its traceback."""
    error = payload.get("error")
    return sentence(error.get("message") or error.get("type") or "") if isinstance(error, dict) else ""


def what(payload: Json) -> str:
    """What the tool does here, in business words; where it has none of its own, with the first of its arguments."""
    said, title = payload.get("sentence"), payload.get("title") or payload.get("tool")
    if said and said != title:
        return phrase(said)
    return f"{phrase(title or 'the action')}{_with(payload.get('args'))}"


def _with(args: Any) -> str:
    """Some of the plain arguments in brackets, numbers first; texts in quotes, since strangers may write them."""
    plain = sorted(args.items(), key=lambda one: type(one[1]) is str) if isinstance(args, dict) else []
    said = [
        f"{clean(name, ARGUMENT_LENGTH).replace('_', ' ')} {_value(value)}" for name, value in plain
        if type(value) in (int, float) or (type(value) is str and value.strip())
    ]
    more = ["…"] if len(said) > ARGUMENTS else []
    return f" ({', '.join([*said[:ARGUMENTS], *more])})" if said else ""


def _value(value: object) -> str:
    return f"“{clean(value, ARGUMENT_LENGTH).translate(QUOTES)}”" if isinstance(value, str) else f"{value}"


def reference(payload: Json) -> str:
    """The other side's name for what it did, where its answer or a person gives one."""
    result = payload.get("result")
    given = payload.get("reference") or (result.get("reference") if isinstance(result, dict) else "")
    return clean(given, 200) if isinstance(given, str | int) else ""


def service(payload: Json) -> str:
    """What the tool is called, where only its name and title are known."""
    return phrase(payload.get("title") or payload.get("tool") or payload.get("name") or "the other side")


def intent(payload: Json) -> Telling:
    """An effect is about to happen."""
    return Telling(f"Carrying out: {what(payload)}.", tone="info", follows=True)


def outcome(payload: Json) -> Telling:
    """How an effect or a read ended."""
    read = payload.get("effect_class") == "read"
    match payload.get("state"):
        case "done" if read and told_by_jobs.is_job(payload):
            return Telling(f"Done: {what(payload)}.", detail=told_by_jobs.how(payload))
        case "done" if read:
            return Telling(sentence(past(what(payload))))
        case "done":
            return _done(payload)
        case "not_done" if not read:
            text = f"Not done: {what(payload)}."
            return Telling(text, detail=error_text(payload), tone="warn", icon="ban", strong=True)
    text = f"Did not succeed: {what(payload)}."
    return Telling(text, detail=error_text(payload), tone="bad", icon="alert")


def _done(payload: Json) -> Telling:
    named = reference(payload)
    tail = f" (reference {named})" if named else ""
    detail = told_by_jobs.how(payload) if told_by_jobs.is_job(payload) else ""
    if payload.get("adopted"):
        detail = "It had already happened; its outcome was adopted, nothing was repeated."
    return Telling(f"Done: {what(payload)}{tail}.", detail=detail, tone="ok", icon="check", strong=True)


def doubt(payload: Json) -> Telling:
    """No definite outcome is known."""
    return Telling(f"No answer is known for “{service(payload)}”; checking whether it happened.",
                   detail=sentence(payload.get("why") or ""), tone="warn", icon="question")  # fmt: skip


def probed(payload: Json) -> Telling:
    """What a probe found."""
    detail, name = sentence(payload.get("detail") or ""), service(payload)
    match payload.get("found"):
        case True:
            return Telling(f"Checked “{name}”: it did happen.", detail=detail, tone="ok", follows=True)
        case False:
            return Telling(f"Checked “{name}”: it did not happen.", detail=detail, tone="warn", follows=True)
    return Telling(f"Checked “{name}”: the other side can not tell.", detail=detail, tone="warn", follows=True)


def backoff(payload: Json) -> Telling:
    """A call or a step is put off: it certainly did nothing, and is tried again at a time."""
    if payload.get("circuit"):
        return Telling(f"Waiting until “{service(payload)}” answers again.", detail=sentence(payload.get("why") or ""),
                       tone="warn", icon="pause")  # fmt: skip
    count, resume = payload.get("count"), moment(payload.get("resume_at"), seconds=True)
    tries = f" (try {count})" if isinstance(count, int) and count > 0 else ""
    return Telling(f"“{service(payload)}” did not work{tries}; trying again {f'at {resume}' if resume else 'later'}.",
                   detail=sentence(payload.get("why") or ""), tone="warn", icon="timer")  # fmt: skip


def retry(payload: Json) -> Telling:
    """A call is about to be made again."""
    return Telling(f"Trying “{service(payload)}” again.", detail=sentence(payload.get("why") or ""), tone="warn")


def sleep(payload: Json) -> Telling:
    """The mission waits for a time."""
    until = moment(payload.get("until"))
    return Telling(f"Waiting until {until}." if until else "Waiting for a time.", tone="info", icon="moon")


def slept(payload: Json) -> Telling:
    """The time has come."""
    return Telling("The wait is over; the mission goes on.", follows=True)


def awaiting(payload: Json) -> Telling:
    """The mission waits for a message, or for the end of a child."""
    if payload.get("child"):
        return Telling(f"Waiting for the end of {_child(payload)}.", tone="info")
    until = moment(payload.get("timeout_at"))
    if payload.get("resource"):
        what = f"{phrase(payload['resource'])} of {phrase(payload.get('server') or 'a server')} to change"
        return Telling(f"Waiting for {what}{f', at most until {until}' if until else ''}.", tone="info")
    name = phrase(str(payload.get("name") or "any").replace("_", " "))
    return Telling(f"Waiting for the message “{name}”{f', at most until {until}' if until else ''}.", tone="info")


def signal(payload: Json) -> Telling:
    """A message was taken, a child ended, or the wait timed out."""
    if payload.get("child"):
        return _ended(payload)
    if str(payload.get("name")).startswith("mcp:"):
        return _changed(payload)
    name = phrase(str(payload.get("name") or "any").replace("_", " "))
    if payload.get("timed_out"):
        return Telling(f"No message “{name}” came in time; the mission goes on without it.", tone="warn", follows=True)
    sender = clean(payload.get("sender") or "", 200)
    return Telling(f"Received the message “{name}”{f' from {sender}' if sender else ''}.", actor=sender, follows=True)


def _changed(payload: Json) -> Telling:
    """A resource on an MCP server has changed, or did not in time."""
    if payload.get("timed_out"):
        return Telling("What was awaited did not change in time; the mission goes on.", tone="warn", follows=True)
    told = payload.get("payload") or {}
    server = phrase(told.get("server") or "the server")
    resource = phrase(told.get("resource") or "A resource")
    return Telling(f"{resource} of {server} has changed.", actor=server, follows=True)


def _child(payload: Json) -> str:
    """A child by its title."""
    return f"“{phrase(payload['title'])}”" if payload.get("title") else "another mission"


def _ended(payload: Json) -> Telling:
    end = payload.get("payload")
    end = end if isinstance(end, dict) else {}
    name = _child(payload)[0].upper() + _child(payload)[1:]
    if end.get("state") == "completed":
        said = sentence(end.get("summary") or end.get("verdict") or "")
        return Telling(f"{name} has ended.", detail=said, follows=True)
    why = sentence(end.get("error") or end.get("summary") or "")
    return Telling(f"{name} did not complete.", detail=why, tone="warn", follows=True)


def moment(value: object, *, seconds: bool = False) -> str:
    """An RFC 3339 text as "22 Nov 2026, 17:40 UTC", with seconds where they matter; empty where it is none."""
    if not isinstance(value, str):
        return ""
    try:
        at = dt.datetime.fromisoformat(value)
    except ValueError:
        return ""
    at = at.astimezone(dt.UTC) if at.tzinfo else at
    return f"{at.day} {at:%b %Y, %H:%M}{f':{at:%S}' if seconds else ''} UTC"
