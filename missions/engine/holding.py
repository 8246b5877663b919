"""Missions that were claimed before they may begin: a signal or a control came, or what they waited for went wrong.

Only the owner appends to a journal, so what a dependency's failure means for a mission is done here, by the worker that
claimed it, before any code of the author runs.
"""

from __future__ import annotations

from missions.engine import history
from missions.engine.codec import dump
from missions.engine.run import Run
from missions.engine.writes import Draft, Outcome, Release
from missions.models import Entry, Kind, State

REASON = "dependency"  # why a held mission is paused, and a cancelled one cancelled


async def held_back(run: Run) -> bool:
    """Whether the mission may not begin now; then it is on its way out of memory."""
    held, start_at = run.claimed.held, run.claimed.start_at
    policy, _, rest = held.partition(":")
    if policy == "hold" and await run.owner.in_database(_was_held, run.claimed.id):
        policy = ""
    if run.has_left:  # a control came meanwhile
        return True
    if policy == "mission":
        run.release(Release(state=State.WAITING, inbox_seq=run.inbox.seq, waits_for=held))
    elif policy == "fail":
        _cancel(run, _sentence(rest))
    elif policy == "hold":
        run.pause(REASON, _sentence(rest))
    elif start_at is not None:
        run.release(Release(state=State.SLEEPING, inbox_seq=run.inbox.seq, waits_for="timer", wake_at=start_at))
    return run.has_left


def _was_held(mission_id: int) -> bool:
    """A person let it go on after it was held: what failed does not hold it a second time."""
    paused = Entry.objects.filter(mission_id=mission_id, kind=Kind.PAUSED).order_by("seq")
    return any(entry.payload.get("reason") == REASON for entry in history.decode(list(paused)))


def _sentence(rest: str) -> str:
    ended_as, _, uid = rest.partition(":")
    words = {"refused": "was refused", "cancelled": "was cancelled", "exported": "went on elsewhere"}
    return f"It was to start after mission {uid}, which {words.get(ended_as, ended_as)}."


def _cancel(run: Run, reason: str) -> None:
    recorded = run.claimed.last_kind == Kind.CANCELLED  # but its row was not let go of
    payload = {"reason": reason, "by": "", "verdict": "cancelled", "summary": reason}
    ending = Outcome(verdict="cancelled", summary=reason)
    release = Release(state=State.CANCELLED, inbox_seq=run.inbox.seq, reason=REASON, outcome=ending)
    run.release(release, *() if recorded else (Draft(kind=Kind.CANCELLED, path="", payload=dump(payload)),))
