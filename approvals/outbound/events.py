"""Events: what people and other systems are told of. Owns `emit`, the only way to make one.

Promises: an event is written in the transaction of what it tells, so it happens exactly if that does. Working out who
is told, and telling them, come later and elsewhere (`spreading`, `sending`): emitting costs one statement, and one
more after the commit to hand over.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from django.db import DatabaseError, connection, transaction
from django_q.tasks import async_task

from approvals.models import Decision, DecisionKind, Event, EventKind
from missions.models import Brief, Mission

logger = logging.getLogger(__name__)
SENDER = "approvals.outbound.sending.send_due"
SENTENCE_LENGTH = 500
# What the opening of such a decision tells of its mission.
OF_MISSION = {DecisionKind.IN_DOUBT: EventKind.IN_DOUBT, DecisionKind.BUDGET: EventKind.BUDGET}


def emit(
    event: str, *, decision: Decision | None = None, mission: Mission | None = None,
    facts: dict[str, Any] | None = None, sentence: str = "",
) -> None:
    """Something happened: joins the caller's transaction, and hands over to the sender on its commit.

    `event` is an `EventKind`. `sentence` defaults to the decision's, or the mission's title. `facts` are small and
    plain: never arguments, evidence or comments. An opened decision that says something of its mission (an effect in
    doubt, a budget that is used up) is an event of the mission too. Raises ValueError for an unknown event.
    """
    kind = EventKind(event)
    mission = mission or (decision.mission if decision is not None else None)
    told = {**_of_decision(decision), **_of_mission(mission), **(facts or {})}
    row = Event(
        kind=kind, decision_id=decision.pk if decision else None, mission_uid=mission.uid if mission else None,
        sentence=(sentence or _sentence(decision, mission))[:SENTENCE_LENGTH], facts=told,
    )
    rows = [row]
    if kind == EventKind.OPENED and decision is not None and mission is not None and decision.kind in OF_MISSION:
        also = OF_MISSION[DecisionKind(decision.kind)]
        rows.append(Event(
            kind=also, decision_id=decision.pk, mission_uid=mission.uid, sentence=row.sentence, facts=told,
        ))
    Event.objects.bulk_create(rows)
    transaction.on_commit(partial(hand_over, row.pk), robust=True)


def _of_decision(decision: Decision | None) -> dict[str, Any]:
    if decision is None:
        return {}
    told = {"kind": decision.kind, "state": decision.state}
    return told | ({"by": list(decision.resolution.get("by", ()))} if decision.resolution else {})


def _of_mission(mission: Mission | None) -> dict[str, Any]:
    return {"type": mission.type} if mission is not None else {}


def _sentence(decision: Decision | None, mission: Mission | None) -> str:
    if decision is not None:
        return decision.sentence
    titles = Brief.objects.filter(mission_id=mission.pk).values_list("title", flat=True) if mission else ()
    return next(iter(titles), "")


def hand_over(event_id: Any) -> None:
    """Ask housekeeping to send now, unless an older event waits, for which it was asked already.

    Losing this loses no event: the job that runs each minute sends what lies there.
    """
    try:
        with transaction.atomic():
            if not Event.objects.filter(spread_at=None, id__lt=event_id).exists():
                async_task(SENDER)
    except DatabaseError:  # the event itself is committed; what asks is no worse off for housekeeping being late
        facts = {"action": "outbound_not_handed_over", "event": str(event_id)}
        logger.warning("An event waits for the next minute's job", extra=facts, exc_info=True)
        connection.close_if_unusable_or_obsolete()
