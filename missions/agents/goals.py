"""The goal of a mission: what it was started with, and what people have made of it since.

Synchronous ORM: from the engine's loop call it through `run.owner.in_database`. A goal is amended by a control
(`missions.control.amending`), whose tool calls `amend`; nothing else writes here, and no row ever changes.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Max

from missions.engine import codec, history
from missions.engine.claims import CONTROL
from missions.errors import ToolFailed
from missions.models import Goal, Mission, Signal

TOOL: Final = "mission.goal"  # how policy knows an amendment
VERB: Final = "amend"
CHARACTERS: Final = 20_000
TITLED: Final = "goal"  # the property of an input that holds a mission's goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """A goal that took the place of the one before."""

    version: int  # from 2
    text: str
    by: str
    reason: str
    at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person asks for by the control with this seq. People who approved it may have edited the text."""

    control: int
    text: str
    reason: str
    by: str


def current(mission_id: int) -> list[Amendment]:
    """The amendments of a mission's goal, the oldest first; the last one holds. Empty: it is as it was started."""
    rows = Goal.objects.filter(mission_id=mission_id).order_by("version")
    return [Amendment(version=row.version, text=row.text, by=row.by, reason=row.reason, at=row.at) for row in rows]


def original(mission: Mission) -> str:
    """Version 1: the `goal` of the input that it was started with, else its title. Wants `brief` loaded."""
    first = history.entries(mission.pk, limit=1)
    given = first[0].payload.get("input", {}).get(TITLED) if first else None
    return given if isinstance(given, str) and given.strip() else mission.brief.title


def amend(uid: str, wanted: Wanted) -> Goal:
    """Write the next version; once for a control, however often it is called. Own transaction.

    Raises ToolFailed where no person has asked for it by such a control.
    """
    mission = Mission.objects.only("pk").get(uid=uid)
    _check(mission, wanted)
    key = f"{mission.pk}:{wanted.control}"
    try:
        with transaction.atomic():
            return _written(mission, key, wanted)
    except IntegrityError:  # a late call of a worker that was given up has written it meanwhile
        return Goal.objects.get(key=key)


def _written(mission: Mission, key: str, wanted: Wanted) -> Goal:
    if (known := Goal.objects.filter(key=key).first()) is not None:
        return known
    newest = Goal.objects.filter(mission_id=mission.pk).aggregate(newest=Max("version"))["newest"] or 1
    return Goal.objects.create(
        mission_id=mission.pk, version=newest + 1, text=wanted.text, reason=wanted.reason, by=wanted.by[:200], key=key,
    )


def _check(mission: Mission, wanted: Wanted) -> None:
    asked = Signal.objects.filter(mission_id=mission.pk, seq=wanted.control, name=CONTROL).first()
    if asked is None or codec.load(asked.payload).get("verb") != VERB:
        raise ToolFailed("Only people amend the goal of a mission, on its page or over REST.", code="not_a_person")
    if not 0 < len(wanted.text.strip()) <= CHARACTERS:
        raise ToolFailed(f"A goal has 1 to {CHARACTERS:,} characters.", code="invalid_input")
