"""The effects ledger: effects as the API and the command line tell them, with the words of their journal entries.

Reads only. The effect row is an index; args, outcome and undo come from the entries that it mirrors.
"""

from __future__ import annotations

from typing import Any

from missions.engine import history
from missions.models import Effect, EffectState, Entry, Mission

Place = tuple[int, int]  # mission id, seq
TELLING = ("state", "result", "error", "reference", "adopted")
UNDOABLE = (EffectState.INTENDED, EffectState.DONE, EffectState.IN_DOUBT)


def told(effects: list[Effect]) -> list[dict[str, Any]]:
    """The effects in the shape of `EffectSerializer`; three statements, however many there are."""
    uids = dict(Mission.objects.filter(pk__in={effect.mission_id for effect in effects}).values_list("pk", "uid"))
    payloads = _payloads(effects)
    return [_told(effect, uids[effect.mission_id], payloads) for effect in effects]


def _payloads(effects: list[Effect]) -> dict[Place, dict[str, Any]]:
    """The payloads of all intents and outcomes, by place."""
    places = [(effect.mission_id, effect.seq) for effect in effects]
    places += [(effect.mission_id, effect.outcome_seq) for effect in effects if effect.outcome_seq is not None]
    rows = Entry.objects.filter(pk__in=places) if places else []
    return {(entry.mission_id, entry.seq): entry.payload for entry in history.decode(list(rows))}


def _told(effect: Effect, uid: object, payloads: dict[Place, dict[str, Any]]) -> dict[str, Any]:
    intent = payloads.get((effect.mission_id, effect.seq), {})
    ended = payloads.get((effect.mission_id, effect.outcome_seq or 0))
    possible = bool(effect.compensate) and effect.state in UNDOABLE
    return {
        "id": effect.pk, "mission": uid, "seq": effect.seq, "path": effect.path, "tool": effect.tool,
        "args": intent.get("args", {}), "effect_class": effect.effect_class, "retry_safety": effect.retry_safety,
        "key": effect.key, "state": effect.state, "deadline_at": effect.deadline_at,
        "outcome": {name: ended[name] for name in TELLING if name in ended} if ended is not None else None,
        "undo": {"possible": possible, "tool": effect.compensate or None},
    }
