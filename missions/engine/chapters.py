"""Chapters: a snapshot of state that supersedes the history before it, so that replay stays flat however old a mission.

The entry carries what the next chapter starts from: the state, and which signals were taken.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from missions.engine import codec
from missions.engine.budgets import Ledger
from missions.engine.inbox import Inbox
from missions.engine.writes import Draft, Release, Turn
from missions.governance import Json
from missions.models import Kind, State


def chapter_entry(number: int, state: Any, inbox: Inbox, ledger: Ledger, **more: Any) -> Draft:
    """The entry that begins a chapter, with what else it hands over. Raises Unserialisable, PayloadTooLarge."""
    mark, taken = inbox.low_water()
    plain = codec.load(codec.dump(state, limit=codec.INPUT_BYTES))
    told = {"chapter": number, "state": plain, "mail_from": mark, "taken": taken, "account": ledger.as_json(), **more}
    body = codec.dump(told)
    return Draft(kind=Kind.CHAPTER, path="", payload=body)


def chapter_release(payload: Json, seq: int, inbox: Inbox, now: dt.datetime) -> Release:
    """Let go of the mission at the start of the chapter whose entry this is; it is due at once."""
    turn = Turn(chapter=int(payload["chapter"]), replay_from=seq, mail_from=int(payload["mail_from"]))
    return Release(state=State.READY, inbox_seq=inbox.seq, wake_at=now, turn=turn)
