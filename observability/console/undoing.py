"""What a rollback would do, in the words of the roll back page: kept and undone, effects by fate. Reads only."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from approvals.models import Decision
from missions.control.lineage import rows_of
from missions.control.preview import Fate, Preview, UndoneEffect
from missions.engine.record import OF_CONTROLS
from missions.governance import EffectClass
from missions.models import RESTORING, Effect, Mission
from observability.projections import Observation, narrate
from observability.sources import from_journal
from observability.wording import listed, sentence

SHOWN = 60  # entries in a column
POINTS = 100  # checkpoints to choose from
FATES = {
    Fate.COMPENSABLE: ("Will be undone", "undo", "ok"),
    Fate.IN_DOUBT: ("In doubt: found out first", "question", "warn"),
    Fate.IRREVERSIBLE: ("Can not be undone, and stand", "alert", "bad"),
    Fate.UNDONE: ("Undone already", "check", ""),
    Fate.NOT_DONE: ("Never happened", "ban", ""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """One effect after the point."""

    effect: UndoneEffect
    sentence: str
    how: str  # what becomes of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The effects that share a fate."""

    word: str
    icon: str
    tone: str
    effects: list[Undoing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The whole page in words; columns hold the entries nearest to the point."""

    kept: list[Observation]
    kept_more: int  # that are not shown
    undone: list[Observation]
    undone_more: int
    groups: list[Group]
    decisions: list[Decision]
    button: str
    snapped: bool


def picture_of(mission: Mission, seen: Preview) -> Picture:
    """What the preview says, in words."""
    rows, point = rows_of(mission), seen.point.seq
    kept = list(rows.filter(seq__lte=point).order_by("-seq")[:SHOWN])[::-1]
    undone = list(rows.filter(seq__gt=point).order_by("seq")[:SHOWN])
    asked = [uuid.UUID(one) for one in seen.decisions]
    return Picture(
        kept=narrate(from_journal(kept)), kept_more=seen.kept - len(kept), undone=narrate(from_journal(undone)),
        undone_more=seen.undone - len(undone), groups=_groups(seen.effects), button=button_of(seen),
        decisions=list(Decision.objects.filter(pk__in=asked).order_by("opened_at")),
        snapped=point != seen.asked_seq,
    )  # fmt: skip


def points_of(mission: Mission) -> list[Observation]:
    """The newest checkpoints that the mission can go back to."""
    rows = rows_of(mission).filter(kind__in=RESTORING).exclude(path__startswith=OF_CONTROLS)
    return narrate(from_journal(list(rows.order_by("-seq")[:POINTS])))


def button_of(seen: Preview) -> str:
    """What pressing the button does, with the counts."""
    undo, doubt, leave = (seen.counts[fate] for fate in (Fate.COMPENSABLE, Fate.IN_DOUBT, Fate.IRREVERSIBLE))
    parts = [
        f"undo {_effects(undo)}" if undo else "",
        f"find out about {doubt if undo else _effects(doubt)}" if doubt else "",
        f"leave {leave if undo or doubt else _effects(leave)} that can not be undone" if leave else "",
    ]
    told = [part for part in parts if part]
    return sentence(listed(told)).rstrip(".") if told else "Roll back; there is nothing to undo"


def _effects(count: int) -> str:
    return f"{count} effect{'' if count == 1 else 's'}"


def _groups(effects: Iterable[UndoneEffect]) -> list[Group]:
    found = list(effects)
    rows = {str(row.pk): row for row in Effect.objects.filter(pk__in=[one.id for one in found])}
    told = [Undoing(effect=one, sentence=sentence(one.sentence), how=_how(one, rows[one.id])) for one in found]
    return [
        Group(word=word, icon=icon, tone=tone, effects=[one for one in told if one.effect.fate == fate])
        for fate, (word, icon, tone) in FATES.items()
        if any(one.effect.fate == fate for one in told)
    ]


def _how(effect: UndoneEffect, row: Effect) -> str:
    """What becomes of an effect, exactly."""
    stands = _why_it_stands(row)
    match effect.fate:
        case Fate.COMPENSABLE:
            return f"undone by {effect.undo}"
        case Fate.IN_DOUBT:
            return f"if it happened, undone by {effect.undo}" if effect.undo else f"if it happened, it stands: {stands}"
        case Fate.IRREVERSIBLE:
            return stands
        case Fate.UNDONE:
            return "nothing is left to undo"
    return "there is nothing to undo"


def _why_it_stands(row: Effect) -> str:
    if row.effect_class == EffectClass.IRREVERSIBLE:
        return "nothing takes it back"
    if row.compensate:
        return f"{row.compensate}, which would undo it, is not known here"
    return "its tool names none that undoes it"
