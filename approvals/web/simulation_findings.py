"""What a replay found, as somebody is shown it: its state, and the rows that this person may see, page by page.

Reads only. Counts are of all actions; a row is shown only to who may see its mission.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals.models import Change, Replay, ReplayDifference
from approvals.simulation import wording
from missions.models import Mission, State
from missions.web.access import visible_archive, visible_missions

GOING = (State.READY, State.RUNNING, State.SLEEPING, State.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a replay stands."""

    replay: Replay
    state: str  # waiting, running, paused, finished, failed, cancelled
    error: str = ""

    @property
    def share(self) -> int:
        """How much is done, in percent."""
        total = self.replay.total
        return 100 if self.state == "finished" else min(100 * self.replay.done // total, 99) if total else 0

    @property
    def going(self) -> bool:
        """Whether more may come."""
        return self.state in ("waiting", "running", "paused")


def standing(replay: Replay) -> Standing:
    """Where a replay stands, by its mission; a finished one needs none."""
    if replay.summary is not None:
        return Standing(replay=replay, state="finished")
    mission = Mission.objects.select_related("outcome").filter(uid=replay.pk).first()
    if mission is None:
        return Standing(replay=replay, state="cancelled", error="Its mission is gone.")
    if mission.state in GOING:
        return Standing(replay=replay, state="running" if replay.total is not None else "waiting")
    outcome = getattr(mission, "outcome", None)
    error = outcome.error if outcome is not None else mission.reason
    return Standing(replay=replay, state=str(mission.state), error=error)


def found(uid: uuid.UUID) -> Replay | None:
    """A replay with its version; None where there is none."""
    return Replay.objects.select_related("version__policy", "started_by").filter(pk=uid).first()


def seen(user: User | AnonymousUser, replay: Replay, change: str = "", decided: str = "") -> QuerySet[ReplayDifference]:
    """The differences that this person may see, in the order of history; of one kind where that is asked."""
    own = visible_missions(user).filter(pk=OuterRef("mission_id"))
    archived = visible_archive(user).filter(uid=OuterRef("mission_uid"))
    rows = ReplayDifference.objects.filter(replay=replay).filter(Q(Exists(own)) | Q(Exists(archived)))
    if change:
        rows = rows.filter(change=change)
    return (rows.filter(decided=decided) if decided else rows).order_by("pk")


def as_json(now: Standing) -> dict[str, Any]:
    """The answer of the API."""
    replay = now.replay
    return {
        "id": replay.pk, "mission": replay.pk, "policy": replay.version.policy.name, "version": replay.version.number,
        "window": replay.window, "mission_type": replay.mission_type, "state": now.state, "error": now.error,
        "total": replay.total, "done": replay.done, "differing": replay.differing, "loosens": replay.loosens,
        "created_at": replay.created_at, "finished_at": replay.finished_at, "summary": replay.summary,
        "findings": wording.findings(replay.summary) if replay.summary else [],
        "started_by": replay.started_by.get_username() if replay.started_by else None,
    }  # fmt: skip


def row_as_json(row: ReplayDifference) -> dict[str, Any]:
    """One difference as the API tells it."""
    was, _, would = str(row.change).partition("_")
    return {
        "change": row.change, "was": was, "would": "escalate" if row.change == Change.ESCALATE_OTHER else would,
        "at": row.at, "mission": row.mission_uid, "seq": row.seq, "mission_type": row.mission_type, "tool": row.tool,
        "agent": row.agent, "was_version": row.was_version, "decided": row.decided or None, "undone": row.undone,
        "looser": row.looser, "rules": row.rules, "tiers": row.tiers, "reason": row.reason,
    }  # fmt: skip
