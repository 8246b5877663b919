"""What must hold of a mission in the end, whatever befell its workers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from approvals.models import Decision, DecisionState
from missions.engine import history
from missions.models import BudgetCharge, BudgetWait, Effect, EffectState, Mission, Permit, Progress, Signal

SETTLED = (EffectState.DONE, EffectState.NOT_DONE, EffectState.UNDONE)


def wrong_with(mission: Mission, *, leaves_doubt: bool = False) -> list[str]:
    """What is left over of a mission that should have ended, or is not whole."""
    wrong = [f"{name} is left" for name, rows in _leftovers(mission, leaves_doubt).items() if rows.exists()]
    if not mission.ended or mission.owner is not None or mission.wake_at is not None:
        wrong.append(f"it is {mission.state}, owner {mission.owner}, due {mission.wake_at}: {story(mission)}")
    verified = history.verify(mission)
    if not verified.ok:
        wrong.append(f"its chain: {verified}")
    entries = history.entries(mission.pk)
    if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
        wrong.append("entries are missing")
    once = Counter((e.timeline, e.kind, e.path) for e in entries if e.kind in ("step", "slept", "won", "completed"))
    wrong += [f"{what} is recorded {count} times" for what, count in once.items() if count > 1 and what[1] != "step"]
    return wrong


def _leftovers(mission: Mission, leaves_doubt: bool) -> dict[str, Any]:
    closed = (*SETTLED, EffectState.IN_DOUBT) if leaves_doubt else SETTLED
    return {
        "an open effect": Effect.objects.filter(mission_id=mission.pk).exclude(state__in=closed),
        "a call that waits for a budget": BudgetWait.objects.filter(mission_id=mission.pk),
        "a charge that is held": BudgetCharge.objects.filter(mission_id=mission.pk, state="held"),
        "a permit": Permit.objects.filter(mission_id=mission.pk),
        "progress": Progress.objects.filter(mission_id=mission.pk),
        "an open decision": Decision.objects.filter(mission_id=mission.pk, state=DecisionState.OPEN),
    }


def story(mission: Mission) -> str:
    """Where a mission stands, and its journal."""
    mission.refresh_from_db()
    told = [
        f"{one.seq} a{one.attempt} t{one.timeline} {one.kind} {one.path} {str(one.payload)[:160]}"
        for one in history.entries(mission.pk)
    ]
    mail = list(Signal.objects.filter(mission_id=mission.pk).values_list("seq", "name"))
    stands = {name: getattr(mission, name) for name in ("state", "reason", "owner", "waits_for", "wake_at", "strikes")}
    return "\n  ".join([f"{mission.type} {stands} mail={mail}", *told])
