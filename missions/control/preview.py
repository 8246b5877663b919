"""What a rollback would do: what is kept, what is undone, which effects can not be taken back, and which children end.

Synchronous and read-only. The digest covers what a person saw; a rollback asked for with it is carried out only while
it still holds.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from django.db.models import QuerySet

from missions.control.lineage import Point, rows_of, snap
from missions.engine import children, codec, history
from missions.errors import UnknownTool
from missions.governance import EffectClass, Json
from missions.models import Effect, EffectState, Entry, Kind, Mission
from missions.tools import learning
from missions.tools.registry import get_tool

UNSEEN = "A mission that you may not see"


class Fate(StrEnum):
    """What a rollback can do about an effect."""

    COMPENSABLE = "compensable"  # its tool names another one that undoes it
    UNDONE = "undone"  # it was undone before
    IRREVERSIBLE = "irreversible"  # it stands
    IN_DOUBT = "in_doubt"  # found out first whether it happened
    NOT_DONE = "not_done"  # it never happened


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoneEffect:
    """One effect after the point, as people read it."""

    id: str
    seq: int
    path: str
    tool: str
    sentence: str
    state: str
    fate: Fate
    undo: str  # the tool that undoes it, or nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftChild:
    """A mission that was started after the point and still runs; it would be asked to cancel, undoing what it did."""

    id: int  # as the tables know it
    uid: str
    title: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The consequences of going back to a point. Effects are in the order in which they would be undone."""

    asked_seq: int
    point: Point
    kept: int  # entries of the current timeline that stay
    undone: int  # entries that are left behind
    effects: tuple[UndoneEffect, ...]
    decisions: tuple[str, ...]  # ids of decisions that are open and would be withdrawn
    children: tuple[LeftChild, ...]
    digest: str

    @property
    def counts(self) -> dict[str, int]:
        """How many effects share each fate."""
        found = Counter(str(effect.fate) for effect in self.effects)
        return {str(fate): found[str(fate)] for fate in Fate}


def effects_after(mission: Mission, seq: int) -> QuerySet[Effect]:
    """The mission's own effects whose intent came after an entry, the newest first; undoing itself is left out."""
    later = Effect.objects.filter(mission_id=mission.pk, seq__gt=seq)
    return later.exclude(path__startswith="control#").order_by("-seq")


def fate_of(effect: Effect) -> Fate:
    """What can be done about an effect."""
    if effect.state in (EffectState.INTENDED, EffectState.IN_DOUBT):
        return Fate.IN_DOUBT
    if effect.state == EffectState.DONE:
        return Fate.COMPENSABLE if undo_tool(effect) else Fate.IRREVERSIBLE
    return Fate.UNDONE if effect.state == EffectState.UNDONE else Fate.NOT_DONE


def undo_tool(effect: Effect) -> str:
    """The name of the tool that takes this effect back, or nothing where none is known here."""
    if effect.effect_class == EffectClass.IRREVERSIBLE or not effect.compensate:
        return ""
    try:
        found = get_tool(effect.compensate)
        return "" if found.is_gone else found.name
    except UnknownTool:
        return ""


def open_decisions(mission: Mission, after: int) -> list[str]:
    """The ids of decisions that were asked after an entry and not answered yet."""
    rows = Entry.objects.filter(mission_id=mission.pk, seq__gt=after, kind__in=(Kind.ASKED, Kind.ANSWERED))
    asked: dict[str, None] = {}
    for entry in history.decode(list(rows.order_by("seq"))):
        if entry.kind == Kind.ASKED:
            asked[entry.payload["decision"]] = None
        else:
            asked.pop(entry.payload["decision"], None)
    return list(asked)


def children_after(mission: Mission, after: int) -> tuple[LeftChild, ...]:
    """The children that were started after an entry and have not ended, oldest first."""
    seqs = Entry.objects.filter(mission_id=mission.pk, seq__gt=after, kind=Kind.SPAWNED).values_list("seq", flat=True)
    told = Entry.objects.filter(mission_id=mission.pk, kind=Kind.SPAWNED).values_list("seq", flat=True)
    abandoned = set(told) - set(rows_of(mission).filter(kind=Kind.SPAWNED).values_list("seq", flat=True))
    left = children.spawned_after(mission.pk, set(seqs), abandoned)
    rows = Mission.objects.filter(pk__in=left).select_related("brief").order_by("pk") if left else ()
    return tuple(LeftChild(id=row.pk, uid=str(row.uid), title=row.brief.title, state=row.state) for row in rows)


def preview(mission: Mission, to_seq: int) -> Preview:
    """What going back to an entry would do. Raises ControlRefused for one that the timeline does not hold."""
    learning.refresh()
    point = snap(mission, to_seq)
    effects = tuple(told(list(effects_after(mission, point.seq))))
    entries = rows_of(mission)
    decisions, left = tuple(open_decisions(mission, point.seq)), children_after(mission, point.seq)
    covered = {  # which children go on counts, and not what they wait for at this moment
        "point": asdict(point), "effects": [[one.id, one.state] for one in effects], "decisions": list(decisions),
        "children": [one.uid for one in left],
    }
    return Preview(
        asked_seq=to_seq, point=point, kept=entries.filter(seq__lte=point.seq).count(),
        undone=entries.filter(seq__gt=point.seq).count(), effects=effects, decisions=decisions,
        children=left, digest=codec.digest_of(covered),
    )


def veiled(seen: Preview, hidden: Collection[uuid.UUID]) -> Preview:
    """The preview for a reader who may not see some of the children: they still count, and are not named."""
    names = {str(uid) for uid in hidden}
    left = tuple(replace(one, title=UNSEEN) if one.uid in names else one for one in seen.children)
    return replace(seen, children=left)


def told(effects: list[Effect]) -> list[UndoneEffect]:
    """Effects of one mission as people read them, in the same order. One statement."""
    if not effects:
        return []
    places = [effect.seq for effect in effects]
    rows = Entry.objects.filter(mission_id=effects[0].mission_id, seq__in=places)
    intents = {entry.seq: entry.payload for entry in history.decode(list(rows))}
    return [_undone(effect, intents.get(effect.seq, {})) for effect in effects]


def _undone(effect: Effect, intent: Json) -> UndoneEffect:
    sentence = str(intent.get("sentence") or intent.get("title") or effect.tool)
    return UndoneEffect(
        id=str(effect.pk), seq=effect.seq, path=effect.path, tool=effect.tool, sentence=sentence, state=effect.state,
        fate=fate_of(effect), undo=undo_tool(effect),
    )
