"""The pages that try a version, start its replay on history, and show what a replay found.

Server-rendered, and complete without scripts. A GET changes nothing, and neither does trying. Who may not read policies
finds none.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from approvals.models import Change, PolicyVersion, Replay
from approvals.policies.document import InvalidPolicy
from approvals.simulation import candidates, comparing, rights, starting, trying, windows, wording
from approvals.simulation.candidates import UnknownPolicy
from approvals.web import simulation_findings as findings
from approvals.web import simulation_words as words
from approvals.web.sheet import person
from approvals.web.simulation_forms import ReplayForm, TryForm
from missions.engine.clock import database_now
from missions.errors import InvalidInput, KeyReused, UnknownMission
from missions.models import Entry, Kind
from missions.tools.learning import current_tools
from missions.web.access import visible_mission, visible_missions
from missions.web.pagination import cursor_of, place_of
from missions.web.problems import Problem

SEE_OTHER, FORBIDDEN, CONFLICT, UNPROCESSABLE = 303, 403, 409, 422
ROWS, RECENT, EARLIER = 50, 15, 10
Page = Callable[..., HttpResponse]


def for_readers(view: Page) -> Page:
    """A page for those who may read policies; to others there is none."""

    @login_required
    @functools.wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not rights.may_read(request.user):
            raise Http404
        return view(request, *args, **kwargs)

    return page


def _version(name: str, number: int) -> PolicyVersion:
    try:
        return candidates.version_of(name, number)
    except UnknownPolicy as error:
        raise Http404 from error


@require_http_methods(["GET", "HEAD", "POST"])
@for_readers
def try_page(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Try a version on an action that is typed in, or on the past one that `mission` and `seq` name."""
    version = _version(name, number)
    if request.method == "POST":
        return _tried(request, version, TryForm(request.POST))
    if "seq" in request.GET:
        return _past(request, version)
    return _try_page(request, version, TryForm())


def _tried(request: HttpRequest, version: PolicyVersion, form: TryForm) -> HttpResponse:
    trial = None
    if form.is_valid():
        given = dict(form.cleaned_data)
        try:
            uid = given.pop("mission")
            mission = visible_mission(request.user, uid) if uid else None
            intent, known = trying.intent_of(trying.Action(**given, mission=mission))
            trial = trying.rule(intent, database_now(), version, tool_known=known)
        except InvalidInput as refused:
            form.add_refusals(refused)
        except UnknownMission as unknown:
            form.add_error("mission", str(unknown))
        except InvalidPolicy as broken:
            return _try_page(request, version, form, broken=broken, status=UNPROCESSABLE)
    form.mark()
    return _try_page(request, version, form, trial=trial, status=200 if trial else UNPROCESSABLE)


def _past(request: HttpRequest, version: PolicyVersion) -> HttpResponse:
    try:
        mission = visible_mission(request.user, uuid.UUID(request.GET.get("mission", "")))
        intent, at = trying.past(mission, min(int(request.GET.get("seq", "")), 2**31 - 1))
    except (UnknownMission, ValueError) as error:
        raise Http404 from error
    except InvalidInput as refused:
        return _try_page(request, version, TryForm(), refused=str(refused), status=UNPROCESSABLE)
    initial = {
        "tool": intent.tool, "args": json.dumps(intent.args, ensure_ascii=False, indent=2), "mission": mission.uid,
        "agent": intent.agent, "data": intent.data_class,
    }  # fmt: skip
    try:
        trial = trying.rule(intent, at, version)
    except InvalidPolicy as broken:
        return _try_page(request, version, TryForm(initial=initial), broken=broken, status=UNPROCESSABLE)
    return _try_page(request, version, TryForm(initial=initial), trial=trial)


def _try_page(
    request: HttpRequest, version: PolicyVersion, form: TryForm, *, trial: trying.Trial | None = None,
    broken: InvalidPolicy | None = None, refused: str = "", status: int = 200,
) -> HttpResponse:
    ruling = trial.ruling if trial else None
    context = {
        "version": version, "form": form, "trial": trial, "broken": broken.problems if broken else (),
        "refused": refused, "tools": [tool.name for tool in current_tools()], "recent": _recent(request),
        "outcome": words.OUTCOMES[ruling.outcome] if ruling else None,
        "before": words.OUTCOMES[trial.present.outcome] if trial and trial.present else None,
        "rules": [words.rule_line(entry) for entry in ruling.trace] if ruling else [],
        "beyond": [{**one, "does": words.EFFECTS[one["effect"]]} for one in trial.beyond] if trial else [],
        "asks": [f"{tier['quorum']} of {comparing.name_of(tier)}" for tier in ruling.tiers] if ruling else [],
    }
    return render(request, "simulation/try.html", context, status=status)


def _recent(request: HttpRequest) -> list[dict[str, Any]]:
    """The last rulings that this person may see, to try one of them again."""
    rows = Entry.objects.filter(kind=Kind.RULING).order_by("-recorded_at", "-mission_id", "-seq")[: 4 * RECENT]
    found = list(rows)
    missions = visible_missions(request.user).select_related("brief").in_bulk({row.mission_id for row in found})
    return [
        {"mission": missions[row.mission_id], "seq": row.seq, "at": row.recorded_at, "path": row.path}
        for row in found if row.mission_id in missions
    ][:RECENT]


@require_http_methods(["GET", "HEAD", "POST"])
@for_readers
def replay_start(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """The replays of a version, and the form that starts one more."""
    version = _version(name, number)
    if request.method != "POST":
        return _start_page(request, version, ReplayForm())
    if not rights.may_replay(request.user):
        return _start_page(request, version, ReplayForm(), status=FORBIDDEN)
    form = ReplayForm(request.POST)
    if not form.is_valid():
        form.mark()
        return _start_page(request, version, form, status=UNPROCESSABLE)
    try:
        replay, _ = starting.start(
            version, form.window, mission_type=form.cleaned_data["mission_type"], by=person(request), via="console",
            key=f"console:{form.cleaned_data['once']}",
        )
    except KeyReused:
        form.add_error(None, "This form had already started a replay of something else. Open the page anew.")
        return _start_page(request, version, form, status=CONFLICT)
    return redirect("replay", replay.pk)


def _start_page(request: HttpRequest, version: PolicyVersion, form: ReplayForm, status: int = 200) -> HttpResponse:
    earlier = Replay.objects.filter(version=version).select_related("version__policy").order_by("-created_at")[:EARLIER]
    context = {
        "version": version, "form": form, "may_replay": rights.may_replay(request.user),
        "replays": [_head(replay) for replay in earlier],
    }
    return render(request, "simulation/start.html", context, status=status)


def _head(replay: Replay) -> dict[str, Any]:
    now = findings.standing(replay)
    window = windows.Window.of(replay.window).words()
    return {"replay": replay, "standing": now, "state": words.STATES[now.state], "window": window}


@require_safe
@for_readers
def replay_page(request: HttpRequest, replay_id: uuid.UUID) -> HttpResponse:
    """What a replay found, or how far it is; as a fragment where htmx asks for it."""
    replay = findings.found(replay_id)
    if replay is None:
        raise Http404
    change = request.GET.get("change", "")
    change = change if change in Change.values else ""
    context = {**_head(replay), **_found(replay), "version": replay.version, "change": change,
               **_rows(request, replay, change)}  # fmt: skip
    htmx: Any = getattr(request, "htmx", None)
    part = "#result" if htmx and not htmx.history_restore_request else ""
    return render(request, f"simulation/replay.html{part}", context)


def _found(replay: Replay) -> dict[str, Any]:
    summary = replay.summary
    if summary is None:
        return {"summary": None, "told": [], "counted": [], "load": []}
    most = max([load[side]["per_day"] for load in summary["load"] for side in ("now", "then")], default=0) or 1
    load = [
        {**one, **{f"{side}_bar": round(100 * one[side]["per_day"] / most) for side in ("now", "then")}}
        for one in summary["load"]
    ]
    return {"summary": summary, "told": wording.findings(summary), "counted": words.counted(summary), "load": load}


def _rows(request: HttpRequest, replay: Replay, change: str) -> dict[str, Any]:
    rows = findings.seen(request.user, replay, change)
    if cursor := request.GET.get("cursor"):
        try:
            rows = rows.filter(pk__gt=place_of(cursor, 1)[0])
        except Problem as error:
            raise Http404 from error
    found = list(rows[: ROWS + 1])
    asked = {"change": change} if change else {}
    more = urlencode({**asked, "cursor": cursor_of(found[ROWS - 1].pk)}) if len(found) > ROWS else ""
    return {
        "rows": [_row(row) for row in found[:ROWS]], "is_first": not request.GET.get("cursor"),
        "next_url": f"{request.path}?{more}" if more else "",
    }


def _row(row: Any) -> dict[str, Any]:
    return {
        "row": row, "sign": words.CHANGES[row.change], "decided": row.decided.replace("_", " "),
        "url": f"{reverse('mission', args=[row.mission_uid])}?{urlencode({'view': 'log', 'at': row.seq})}",
    }
