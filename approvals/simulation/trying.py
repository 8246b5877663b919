"""Trying a policy on one action: what would be said of it, rule by rule.

Writes nothing, calls nothing, opens nothing. The action is typed in, or one that was ruled on before.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any, Final

from approvals.models import PolicyVersion
from approvals.policies import evaluate
from approvals.policies.document import InvalidPolicy
from approvals.policies.rules import Table
from approvals.simulation import candidates, history
from approvals.simulation.candidates import Tables
from missions.data_classes import DEFAULT, Clearance, clearance
from missions.engine import accounts
from missions.engine import history as journal
from missions.engine.registry import all_types
from missions.errors import InvalidInput, UnknownTool
from missions.governance import EffectClass, Intent, Json, RetrySafety, Ruling
from missions.models import Entry, Kind, Mission
from missions.tools import learning
from missions.tools.spec import ToolSpec

NOBODYS: Final = uuid.UUID(int=0)  # stands for the mission where none is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is to be ruled on, as somebody typed it."""

    tool: str
    args: Json
    mission: Mission | None = None
    mission_type: str = ""  # where no mission is named
    agent: str = ""
    data: str = ""  # a data class; empty: the tool's


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it."""

    ruling: Ruling
    intent: Intent
    at: dt.datetime
    tool_known: bool
    candidate: str  # the version that was tried, empty where that is what is in force
    evaluated: tuple[str, ...]  # the labels of all versions that were asked
    beyond: tuple[Json, ...]  # the tried policy's rules that are not about this action: name, effect
    present: Ruling | None  # by what is in force, where a version was tried


def intent_of(action: Action) -> tuple[Intent, bool]:
    """The intent that an action stands for, and whether its tool is known here.

    Arguments are checked against the schema of a known tool; an unknown one counts as what nothing is promised of:
    it writes, and only people can tell. Raises InvalidInput with errors at `data` and below `args`.
    """
    spec = _spec(action.tool)
    data_class = action.data or (spec.data_class if spec else "")
    brief = action.mission.brief if action.mission else None
    intent = Intent(
        mission_uid=action.mission.uid if action.mission else NOBODYS,
        mission_type=action.mission.type if action.mission else action.mission_type,
        mission_title=brief.title if brief else "", owner_id=brief.started_by_id if brief else None,
        tool=action.tool, args=_checked(spec, action.args), agent=action.agent,
        effect_class=spec.effect if spec else EffectClass.WRITE,
        retry_safety=spec.retry_safety if spec else RetrySafety.MANUAL,
        reversible=bool(spec and spec.compensate), data_class=data_class, clearance=_clearance(action, data_class),
    )
    return intent, spec is not None


def _clearance(action: Action, data_class: str) -> Clearance:
    """The mission's, or its type's; where neither is named, enough for the action, so that the rules are asked."""
    if action.mission is not None:
        first = Entry.objects.filter(mission_id=action.mission.pk, seq=1)
        return accounts.clearance_of(journal.decode(list(first))[0].payload)
    kind = next((kind for kind in all_types() if kind.name == action.mission_type), None)
    if kind is not None:
        return kind.data_classes
    try:
        return clearance((*DEFAULT, data_class))
    except ValueError as error:
        raise InvalidInput(f"{error}.", errors=[{"field": "data", "message": f"{error}."}]) from error


def _spec(name: str) -> ToolSpec | None:
    try:
        return learning.current_tool(name)
    except UnknownTool:
        return None


def _checked(spec: ToolSpec | None, args: Json) -> Json:
    if spec is None:
        return args
    try:
        return spec.check_args(args)
    except InvalidInput as error:
        errors = [{**one, "field": f"args.{one['field']}".rstrip(".")} for one in error.errors]
        raise InvalidInput(str(error), errors=errors) from error


def past(mission: Mission, seq: int) -> tuple[Intent, dt.datetime]:
    """An action that was ruled on before, and when. Raises InvalidInput where that entry tells of none."""
    row = Entry.objects.filter(mission_id=mission.pk, seq=seq, kind=Kind.RULING).first()
    entry = journal.decode([row])[0] if row is not None else None
    found = history.restored(mission, entry) if entry is not None else None
    if entry is None or found is None:
        message = "It is no ruling, or does not say what was ruled on."
        raise InvalidInput(f"Entry {seq} can not be tried. {message}", errors=[{"field": "seq", "message": message}])
    return found, entry.recorded_at


def rule(
    intent: Intent, at: dt.datetime, version: PolicyVersion | None, *, tool_known: bool = True
) -> Trial:
    """Rule on an intent as of a time, by what is in force, or with a version in its policy's place.

    Raises InvalidPolicy where the version can not be read. Where something else that binds can not be read, all is
    denied, as at the gate.
    """
    candidate = candidates.table_of(version) if version is not None else None
    try:
        present = candidates.in_force()
    except InvalidPolicy as error:
        ruling = evaluate.unjudged(str(error))
        return _trial(intent, at, tool_known, ruling, candidate, (), None)
    would = candidates.replaced(present, candidate) if candidate else present
    ruling = candidates.judged(intent, would, at)
    before = candidates.judged(intent, present, at) if candidate else None
    return _trial(intent, at, tool_known, ruling, candidate, would, before)


def _trial(
    intent: Intent, at: dt.datetime, tool_known: bool, ruling: Ruling, candidate: Table | None, tables: Tables,
    present: Ruling | None,
) -> Trial:
    rules = candidate.rules if candidate else ()
    return Trial(
        ruling=ruling, intent=intent, at=at, tool_known=tool_known, candidate=candidate.label if candidate else "",
        evaluated=tuple(table.label for table in tables), present=present,
        beyond=tuple({"name": one.name, "effect": str(one.effect)} for one in rules if not one.scope.covers(intent)),
    )


def as_json(trial: Trial) -> Json:
    """The answer of the API."""
    intent: dict[str, Any] = {**trial.intent.as_json(), "mission_type": trial.intent.mission_type}
    named = trial.intent.mission_uid != NOBODYS
    return {
        "ruling": trial.ruling.as_json(), "candidate": trial.candidate, "evaluated": list(trial.evaluated),
        "out_of_scope": list(trial.beyond), "in_force": trial.present.as_json() if trial.present else None,
        "intent": {**intent, "mission": str(trial.intent.mission_uid) if named else None},
        "tool_known": trial.tool_known, "at": trial.at.isoformat(),
    }
