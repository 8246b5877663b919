"""How missions ended, or stopped for a person to look at them: events of what the lane tells listeners.

The handler of the alarm `mission.outcome`. Runs inside the transaction that rings it; takes along all alarms of its
kind that are due, so that a thousand missions that end at once do not keep a decision from expiring on time.
"""

from __future__ import annotations

import datetime as dt

from approvals.models import EventKind
from approvals.outbound.events import emit
from missions.engine import alarms
from missions.engine.listeners import OUTCOME
from missions.models import Alarm, Mission, State
from missions.models.fields import DatabaseNow

MOST = 500
BY_A_PERSON = ("paused by a person", "stopped by a person")
KIND_OF = {
    State.COMPLETED: EventKind.COMPLETED, State.FAILED: EventKind.FAILED, State.CANCELLED: EventKind.FAILED,
    State.PAUSED: EventKind.ATTENTION,
}  # fmt: skip


@alarms.handler(OUTCOME)
def tell(subject: str, nominal_at: dt.datetime) -> None:
    """Emit for this mission, and for the others that wait to be told."""
    due = Alarm.objects.filter(what__startswith=f"{OUTCOME}:", rung_at=None, nominal_at__lte=DatabaseNow())
    others = due.exclude(what=f"{OUTCOME}:{subject}").select_for_update(skip_locked=True)
    rows = list(others.order_by("nominal_at")[:MOST])
    Alarm.objects.filter(pk__in=[row.pk for row in rows]).update(rung_at=DatabaseNow())
    ids = {int(subject), *(int(row.what.partition(":")[2]) for row in rows)}
    for mission in Mission.objects.select_related("brief", "outcome").filter(pk__in=ids).order_by("pk"):
        _tell(mission)


def _tell(mission: Mission) -> None:
    """It may have gone on meanwhile: then nothing is told, as it ends anew."""
    kind = KIND_OF.get(State(mission.state))
    if kind is None or mission.reason in BY_A_PERSON:
        return
    outcome = getattr(mission, "outcome", None)
    facts = {"state": mission.state, "reason": mission.reason, "verdict": outcome.verdict if outcome else ""}
    emit(kind, mission=mission, facts=facts, sentence=mission.brief.title)
