"""Past rulings, in the order in which they were made, each with all that it takes to rule on it again.

Reads the journal and the decisions; writes nothing. What an entry holds of the ruling is taken as it stands: whatever
policy or evaluator made it is not asked again. Of earlier releases' entries, which did not keep the arguments, those
that an intent or a decision tells are used, and the others have no intent.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from approvals.models import Decision, DecisionKind
from approvals.simulation import statements
from missions.engine import codec
from missions.engine.history import HistoryEntry
from missions.governance import Intent, Json, RetrySafety, Ruling, RulingOutcome
from missions.models import Mission

OWN_TYPE = "policy.replay"  # the mission type of replays, which are no part of the history that they replay
BEGINNING = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the order of past rulings: the one of this entry."""

    at: dt.datetime = BEGINNING
    mission_id: int = 0
    seq: int = 0

    def as_json(self) -> list[Any]:
        """The form in which a replay keeps it."""
        return [self.at.isoformat(), self.mission_id, self.seq]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Place:
        """The inverse of `as_json`."""
        return cls(dt.datetime.fromisoformat(data[0]), int(data[1]), int(data[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The part of history that is meant: rulings after a place, before a time, of one mission type or (empty) all."""

    after: Place
    until: dt.datetime
    mission_type: str = ""

    def values(self) -> dict[str, Any]:
        """What the statements are given."""
        place = {"at": self.after.at, "mission_id": self.after.mission_id, "seq": self.after.seq}
        return {**place, "until": self.until, "type": self.mission_type, "own": OWN_TYPE}


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRuling:
    """One ruling that was made."""

    place: Place
    mission_uid: uuid.UUID
    mission_type: str
    path: str
    phase: str  # `plan`: policy ruled; others are the engine's own
    tool: str
    title: str
    was: Ruling | None  # None: the entry was redacted
    intent: Intent | None  # None: what was ruled on is not recorded
    oversized: int = 0  # bytes of arguments that no rule may read
    decided: str = ""  # the state of the decision that it led to; empty where it led to none
    action: Json | None = None  # of that decision


def read(stretch: Stretch, limit: int) -> list[PastRuling]:
    """The next rulings of a stretch, at most so many."""
    found = [_past(row) for row in statements.rows("rulings", {**stretch.values(), "limit": limit})]
    return _with_intents(_with_decisions(found))


def count(stretch: Stretch) -> int:
    """How many rulings a stretch holds."""
    return int(statements.rows("rulings_counted", stretch.values())[0][0])


def before_last(stretch: Stretch, last: int) -> Place:
    """The place after which the last so many rulings before the stretch's end come."""
    found = statements.rows("ruling_before_last", {**stretch.values(), "last": last})
    return Place(*found[0]) if found else stretch.after


def restored(mission: Mission, entry: HistoryEntry) -> Intent | None:
    """What the ruling of one entry was about; None where neither it nor what followed tells."""
    body = codec.dump(entry.payload)
    brief = mission.brief
    row = (
        entry.recorded_at, mission.pk, entry.seq, entry.path, body, mission.uid, mission.type, brief.title,
        brief.started_by_id,
    )
    return _with_intents(_with_decisions([_past(row)]))[0].intent


def _past(row: tuple[Any, ...]) -> PastRuling:
    at, mission_id, seq, path, body, uid, kind, title, owner_id = row
    payload: Json = codec.load(bytes(body)) if body is not None else {}
    told: Json = payload.get("intent") or {}
    mission = {"mission_uid": uid, "mission_type": kind, "mission_title": title}
    return PastRuling(
        place=Place(at, mission_id, seq), mission_uid=uid, mission_type=kind, path=path,
        phase=str(payload.get("phase", "")), tool=str(payload.get("tool", "")), title=str(payload.get("title", "")),
        was=Ruling.from_json(payload) if "outcome" in payload else None, oversized=int(told.get("args_bytes", 0)),
        intent=_intent({"owner_id": owner_id, **told, "budgets": payload.get("budgets", ())}, mission)
        if told else None,
    )


def _intent(told: Json, mission: Json) -> Intent:
    return Intent.from_json({**told, "args": told["args"] or {}}, **mission)


def _with_decisions(found: list[PastRuling]) -> list[PastRuling]:
    """Each ruling that asked people, with how they decided: the first decision at its place that was opened then."""
    asked = [one for one in found if one.was is not None and one.was.outcome is RulingOutcome.ESCALATE]
    if not asked:
        return found
    rows = Decision.objects.filter(
        mission_id__in={one.place.mission_id for one in asked}, kind=DecisionKind.ACTION,
        opened_at__gte=min(one.place.at for one in asked),
    ).order_by("opened_at").values_list("mission_id", "path", "opened_at", "state", "action")
    by_place: dict[tuple[Any, str], list[Any]] = defaultdict(list)
    for mission_id, path, *rest in rows:
        by_place[mission_id, path].append(rest)
    return [_decided(one, by_place.get((one.place.mission_id, one.path), ())) for one in found]


def _decided(one: PastRuling, decisions: Iterable[Any]) -> PastRuling:
    if one.was is None or one.was.outcome is not RulingOutcome.ESCALATE:
        return one
    first = next((rest for opened_at, *rest in decisions if opened_at >= one.place.at), None)
    return replace(one, decided=first[0], action=first[1]) if first else one


def _with_intents(found: list[PastRuling]) -> list[PastRuling]:
    """What entries of earlier releases were about, as far as a decision or the call's own intent tells."""
    bare = [one for one in found if one.intent is None and one.was is not None and one.phase == "plan"]
    if not bare:
        return found
    columns = {
        "missions": [one.place.mission_id for one in bare], "seqs": [one.place.seq for one in bare],
        "paths": [one.path for one in bare],
    }
    rows = statements.rows("intents_after", columns)
    later = {(mission_id, seq): codec.load(bytes(body)) for mission_id, seq, body in rows if body is not None}
    return [_restored(one, later.get((one.place.mission_id, one.place.seq)) or one.action) for one in found]


def _restored(one: PastRuling, told: Json | None) -> PastRuling:
    if one.intent is not None or not told or "args" not in told or "effect_class" not in told:
        return one
    facts = {
        "owner_id": None, "tool": one.tool, "args": told["args"], "effect_class": told["effect_class"],
        "retry_safety": told.get("retry_safety", RetrySafety.MANUAL), "reversible": bool(told.get("compensate")),
    }
    mission = {"mission_uid": one.mission_uid, "mission_type": one.mission_type, "mission_title": ""}
    return replace(one, intent=_intent(facts, mission))
