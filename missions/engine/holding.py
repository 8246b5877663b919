"""Missions that were claimed before they may begin: a signal or a control came, or what they waited for went wrong.

Only the owner appends to a journal, so what a dependency's failure means for a mission is done here, by the worker that
claimed it, before any code of the author runs.
"""

from __future__ import annotations

from missions.engine.codec import dump
from missions.engine.run import Run
from missions.engine.writes import Draft, Outcome, Release
from missions.models import Kind, State

REASON = "dependency"  # why a held mission is paused, and a cancelled one cancelled


def held_back(run: Run) -> bool:
    """Whether the mission may not begin now; then it is on its way out of memory."""
    held, start_at = run.claimed.held, run.claimed.start_at
    policy, _, rest = held.partition(":")
    if policy == "mission":
        run.release(Release(state=State.WAITING, inbox_seq=run.inbox_seq, waits_for=held))
    elif policy == "fail":
        _cancel(run, _sentence(rest))
    elif policy == "hold" and not _was_held(run):
        run.pause(REASON, _sentence(rest))
    elif start_at is not None:
        run.release(Release(state=State.SLEEPING, inbox_seq=run.inbox_seq, waits_for="timer", wake_at=start_at))
    return run.has_left


def _was_held(run: Run) -> bool:
    """A person let it go on after it was held: what failed does not hold it a second time."""
    paused = (entry.payload for entry in run.claimed.entries if entry.kind == Kind.PAUSED)
    return any(payload.get("reason") == REASON for payload in paused)


def _sentence(rest: str) -> str:
    ended_as, _, uid = rest.partition(":")
    words = {"refused": "was refused", "cancelled": "was cancelled", "exported": "went on elsewhere"}
    return f"It was to start after mission {uid}, which {words.get(ended_as, ended_as)}."


def _cancel(run: Run, reason: str) -> None:
    recorded = run.claimed.entries[-1].kind == Kind.CANCELLED  # but its row was not let go of
    draft = Draft(kind=Kind.CANCELLED, path="", payload=dump({"reason": reason}))
    release = Release(
        state=State.CANCELLED, inbox_seq=run.inbox_seq, reason=REASON, outcome=Outcome(summary=reason)
    )
    run.release(release, *() if recorded else (draft,))
