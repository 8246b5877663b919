"""Controls: how people steer a mission. Owns `request`, the only way to put one.

A control is a signal of its own kind in the mailbox. The owner of the mission lets go of it (open effects come to an
outcome first), and whoever claims it next runs the control's program (`missions.control`), which records it.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Least

from missions.engine import codec, feed
from missions.engine.claims import CONTROL
from missions.engine.quarantine import pardon
from missions.errors import ControlRefused, InvalidInput, KeyReused, UnknownMission
from missions.models import ENDED, Mission, Signal, State
from missions.models.fields import DatabaseNow

REASON_LENGTH = 2000
ALIVE = frozenset(set(State.values) - set(ENDED))
MOVING = ALIVE - {State.PAUSED}
# The states in which each verb means something.
VERBS: dict[str, frozenset[str]] = {
    "pause": MOVING,  # lets a running step come to its record
    "stop": MOVING,  # cuts a running step off, then pauses
    "resume": frozenset({State.PAUSED}),
    "cancel": ALIVE,  # ends it; with `compensate` its effects are undone first
    "rollback": frozenset(set(State.values) - {State.EXPORTED}),  # opens a timeline; effects after the point are undone
    "retry": frozenset({State.FAILED}),  # opens a timeline; what failed is tried again, what was done stands
    "amend": ALIVE,  # another goal, once it is ruled on; what was asked under the old one is answered
    "attend": ALIVE,  # the engine's own: people say what becomes of a mission that can not go on
    "deadline": ALIVE,  # the engine's own: its time is up, and people say what becomes of it
}
OVERTAKING = frozenset({"pause", "stop", "cancel"})  # people want the mission to stand still or to end: now
ENGINES_OWN = frozenset({"attend", "deadline"})  # the engine's own questions, which give way to whatever people want
PATIENT = ENGINES_OWN | {"amend"}  # what no question gives way to: it waits its turn
PARDON = frozenset({"resume", "retry"})  # a person lets it go on: what it did to workers counts no longer


def overtakes(later: str, verb: str) -> bool:
    """Whether a control that waits for people's answer gives way to a later one."""
    return later in OVERTAKING or (verb in ENGINES_OWN and later not in PATIENT)


@transaction.atomic
def request(
    mission_id: int, verb: str, *, reason: str = "", by: str = "", key: str | None = None, exact: bool = False,
    **facts: Any,
) -> int:
    """Put a control and make the mission due; its seq in the mailbox. The same key counts once.

    With `exact` a key that came with another reason or other facts raises KeyReused.

    Locks the mission row first and must be the last statement of the caller's transaction (docs/locking.md).
    Raises UnknownMission, ControlRefused (the verb means nothing in the mission's state), InvalidInput.
    """
    if len(reason) > REASON_LENGTH:
        wrong = [{"field": "reason", "message": f"At most {REASON_LENGTH} characters."}]
        raise InvalidInput("The request can not be taken.", errors=wrong)
    body = codec.dump({"verb": verb, "reason": reason, "by": by, **facts}, limit=codec.INPUT_BYTES)
    mission = Mission.objects.select_for_update().filter(pk=mission_id).only("state", "inbox_seq", "waits_for").first()
    if mission is None:
        raise UnknownMission
    known = Signal.objects.filter(mission_id=mission_id, key=key).first() if key is not None else None
    if known is not None:
        if exact and _asked(bytes(known.payload)) != _asked(body):
            raise KeyReused
        return known.seq
    if mission.state not in VERBS[verb]:
        raise ControlRefused(f"The mission is {mission.state}: {verb} does not apply.", state=mission.state, verb=verb)
    seq = mission.inbox_seq + 1
    Signal.objects.create(mission_id=mission_id, seq=seq, name=CONTROL, payload=body, key=key, sender=by)
    if verb in PARDON:
        pardon(mission_id)
    due = Least(Coalesce(F("wake_at"), DatabaseNow()), DatabaseNow())
    Mission.objects.filter(pk=mission_id).update(inbox_seq=seq, control_seq=seq, wake_at=due)
    feed.announce(f"m{mission_id}")
    feed.announce_due()
    return seq


def _asked(body: bytes) -> dict[str, Any]:
    """What was asked for, whoever did."""
    return {name: value for name, value in codec.load(body).items() if name not in ("by", "by_id")}
