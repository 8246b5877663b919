"""The forms of tools on servers: which is accepted, what people are asked, and who waits for the answer.

The first form of a tool that is seen is accepted. Another one is blocked: one question for all missions that call it,
opened by the layer above (`tool_form.ask:ID/ROUND`), and answered by `accept` or `refuse`. While one is open, what the
server offers beside it waits as well and asks nothing, so that a server can not flood the queue.

Lock order: the forms of one tool by id, then the missions that are woken, by id, in an alarm of their own.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import TextField, Value
from django.db.models.functions import Concat

from missions.engine import alarms, feed, mailbox
from missions.engine.clock import database_now
from missions.errors import MissionEnded, UnknownForm, UnknownMission
from missions.models import FormState, FormWait, ToolForm, ToolServer

logger = logging.getLogger(__name__)
WAVE = dt.timedelta(milliseconds=100)  # between two waves of MISSIONS_WAKES_AT_ONCE
ERROR_CHARACTERS, REASON_CHARACTERS = 500, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A tool as its server offers it now."""

    tool: str  # the name under which missions call it
    server: str
    digest: str  # over all of the form
    form: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why a call may not be made: a form that people were asked about, or have refused."""

    form: int
    refused: bool

    @property
    def signal(self) -> str:
        """What tells a mission that people have answered."""
        return f"tool_form:{self.form}"


def accepted() -> dict[str, str]:
    """Tool → digest of the form that is accepted. One statement."""
    return dict(ToolForm.objects.filter(state=FormState.ACCEPTED).values_list("tool", "digest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A form that is accepted, as it was seen, and whether a person has accepted just this one."""

    sighting: Sighting
    by_person: bool


def accepted_marks() -> dict[str, tuple[str, str, bool]]:
    """Tool → its server, the digest of the accepted form, and whether a person has accepted it. One statement."""
    rows = ToolForm.objects.filter(state=FormState.ACCEPTED).values_list("tool", "server", "digest", "decided_by")
    return {tool: (server, digest, bool(by)) for tool, server, digest, by in rows}


def accepted_forms(tools: Collection[str]) -> list[Accepted]:
    """The accepted forms of these tools. One statement."""
    rows = ToolForm.objects.filter(state=FormState.ACCEPTED, tool__in=tools)
    return [
        Accepted(
            sighting=Sighting(tool=row.tool, server=row.server, digest=row.digest, form=row.form),
            by_person=bool(row.decided_by),
        )
        for row in rows
    ]


# -- Looking -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def look(sighting: Sighting, mission_id: int | None = None) -> Hold | None:
    """What keeps calls of a tool back that is offered so; None where nothing does. Own transaction.

    The mission, where one asks, is told once people have answered.
    """
    rows = _locked(sighting.tool)
    if not rows:
        first = _columns(sighting, FormState.ACCEPTED)
        ToolForm.objects.bulk_create([ToolForm(**first)], ignore_conflicts=True)  # another worker may have seen more
        feed.announce_rules()
        rows = _locked(sighting.tool)
    mine = next((row for row in rows if row.digest == sighting.digest), None)
    waiting = next((row for row in rows if row.state == FormState.WAITING), None)
    if mine is not None and mine.state == FormState.ACCEPTED:
        if waiting is not None and waiting.waits.exists():  # the server has come back to what was accepted
            _tell_waiting(waiting)
        return None
    if mine is not None and mine.state == FormState.REFUSED:
        return Hold(form=mine.pk, refused=True)
    held_by = waiting or _question(mine, sighting)
    if mission_id is not None:
        FormWait.objects.bulk_create([FormWait(form=held_by, mission_id=mission_id)], ignore_conflicts=True)
    return Hold(form=held_by.pk, refused=False)


def _locked(tool: str) -> list[ToolForm]:
    return list(ToolForm.objects.select_for_update().filter(tool=tool).order_by("pk"))


def _columns(sighting: Sighting, state: str) -> dict[str, Any]:
    known = {"tool": sighting.tool, "server": sighting.server, "digest": sighting.digest}
    return {**known, "form": dict(sighting.form), "state": state}


def _question(row: ToolForm | None, sighting: Sighting) -> ToolForm:
    """Block this form until people have said what they think of it."""
    row = row or ToolForm(**_columns(sighting, FormState.WAITING), seen_at=database_now())
    row.state, row.asked = FormState.WAITING, row.asked + 1
    row.decided_by, row.decided_at, row.reason = "", None, ""
    row.save()
    alarms.set_alarm(f"tool_form.ask:{row.pk}/{row.asked}", database_now())
    feed.announce_rules()
    facts = {"action": "tool_changed", "tool": row.tool, "server": row.server, "digest": row.digest}
    logger.warning("A server offers a tool differently than it was accepted", extra=facts)
    return row


# -- What people say ---------------------------------------------------------------------------------------------------


@transaction.atomic
def accept(form_id: int, *, by: str, reason: str = "") -> ToolForm:
    """Let calls of the tool go through in this form, and in no other. Own transaction. Raises UnknownForm."""
    row = _of_tool(form_id)
    before = ToolForm.objects.filter(tool=row.tool, state=FormState.ACCEPTED).exclude(pk=row.pk)
    before.update(state=FormState.REPLACED)
    return _decided(row, FormState.ACCEPTED, by, reason)


@transaction.atomic
def refuse(form_id: int, *, by: str, reason: str = "") -> ToolForm:
    """Keep the tool blocked in this form: calls are refused. Own transaction.

    Raises UnknownForm, also where it is the form that is accepted: the stop button is for that.
    """
    row = _of_tool(form_id)
    if row.state == FormState.ACCEPTED:
        raise UnknownForm
    return _decided(row, FormState.REFUSED, by, reason)


def _of_tool(form_id: int) -> ToolForm:
    """The form, with all forms of its tool locked."""
    found = ToolForm.objects.filter(pk=form_id).first()
    row = next((one for one in _locked(found.tool) if one.pk == form_id), None) if found is not None else None
    if row is None:
        raise UnknownForm
    return row


def _decided(row: ToolForm, state: FormState, by: str, reason: str) -> ToolForm:
    waited = row.state == FormState.WAITING
    row.state, row.decided_by, row.decided_at = state, by, database_now()
    row.reason = reason.replace("\x00", "")[:REASON_CHARACTERS]
    row.save()
    if waited:
        _tell_waiting(row)
        alarms.set_alarm(f"tool_form.moot:{row.pk}/{row.asked}", row.decided_at)
    feed.announce_rules()
    feed.announce("q")
    facts = {"action": "tool_form_decided", "tool": row.tool, "state": str(state), "by": by, "digest": row.digest}
    logger.warning("People decided on the form of a tool", extra=facts)
    return row


def _tell_waiting(row: ToolForm) -> None:
    alarms.set_alarm(f"tool_form.told:{row.pk}", database_now())


@alarms.handler("tool_form.told")
@transaction.atomic
def wake(subject: str, nominal_at: dt.datetime) -> None:
    """Tell the next of the missions that wait for this form."""
    waits = FormWait.objects.filter(form_id=int(subject)).order_by("mission_id")
    chosen = list(waits.select_for_update(skip_locked=True)[: settings.MISSIONS_WAKES_AT_ONCE])
    name = Hold(form=int(subject), refused=False).signal
    for one in chosen:
        try:
            mailbox.deliver(one.mission_id, name, {}, sender="tools")
        except (MissionEnded, UnknownMission):
            logger.debug("A mission ended while it waited for a form", extra={"mission": one.mission_id})
    FormWait.objects.filter(pk__in=[one.pk for one in chosen]).delete()
    if waits.exists():
        alarms.set_alarm(f"tool_form.told:{subject}", database_now() + WAVE)


# -- Servers -----------------------------------------------------------------------------------------------------------


def reached(server: str, sightings: Iterable[Sighting]) -> dict[str, bool]:
    """A server has listed its tools: look at each. Tool → whether a person has accepted it in just this form."""
    seen = list(sightings)
    now = database_now()
    found = {"reached_at": now, "failed_at": None, "error": "", "tools": len(seen)}
    ToolServer.objects.update_or_create(name=server, defaults=found)
    known = accepted()
    for one in seen:
        if known.get(one.tool) != one.digest:
            look(one)
    rows = ToolForm.objects.filter(tool__in=[one.tool for one in seen], state=FormState.ACCEPTED).exclude(decided_by="")
    by_people = dict(rows.values_list("tool", "digest"))
    return {one.tool: by_people.get(one.tool) == one.digest for one in seen}


def unreached(server: str, why: str) -> None:
    """A server could not be asked for its tools."""
    found = {"failed_at": database_now(), "error": why.replace("\x00", "")[:ERROR_CHARACTERS]}
    ToolServer.objects.update_or_create(name=server, defaults=found)


def forget_server(server: str) -> None:
    """Another server has the name: how the one before was found counts no more, nor does people's word for its forms.

    What was accepted still binds: a tool that is offered differently is asked about.
    """
    ToolServer.objects.filter(name=server).delete()
    vouched = ToolForm.objects.filter(server=server, state=FormState.ACCEPTED).exclude(decided_by="")
    told = (Value("Accepted at another address by "), "decided_by", Value(". "), "reason")
    vouched.update(reason=Concat(*told, output_field=TextField()), decided_by="", decided_at=None)
