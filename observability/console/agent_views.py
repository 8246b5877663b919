"""The pages of agents: the list, one agent, one version, two versions side by side. Complete without scripts.

Who may not see agents is answered as if there were none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from missions.agents import isolation
from missions.errors import UnknownAgent
from missions.models import Agent, AgentVersion
from missions.web.access import may_edit_agents, may_see_agents, may_stop, visible_agent
from observability.console import agent_spend, agent_told
from observability.console.requests import SignedInRequest

NOT_FOUND, MOST = 404, 500
UNREFUSED: Final[dict[str, Any]] = {"refused": "", "lacks": None, "typed": ""}
VERSIONS_SHOWN, CHANGES_SHOWN = 100, 50
P = ParamSpec("P")
View = Callable[Concatenate[SignedInRequest, P], HttpResponse]
OF_VERSION: Final = ("agent", "base", "created_by")


def sees(view: View[P]) -> View[P]:
    """The view for those who see agents; for others, and for an agent that is not there, a page that says so."""

    @login_required
    @functools.wraps(view)
    def guarded(request: SignedInRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not may_see_agents(request.user):
            return render(request, "agents/missing.html", status=NOT_FOUND)
        try:
            return view(request, *args, **kwargs)
        except UnknownAgent as error:
            return render(request, "agents/missing.html", {"why": str(error)}, status=NOT_FOUND)

    return guarded


@require_safe
@sees
def agents(request: SignedInRequest) -> HttpResponse:
    """All agents. An htmx request gets the results alone."""
    found = Agent.objects.select_related("active__agent").order_by("name")[:MOST]
    stopped = agent_told.stopped()
    rows = [{"agent": one, "badge": agent_told.state_of(one, is_stopped=one.name in stopped)} for one in found]
    context = {"rows": rows, "may_edit": may_edit_agents(request.user), "has_llm": agent_told.has_llm()}
    htmx: HtmxDetails = request.htmx
    return render(request, "agents/list.html#results" if htmx else "agents/list.html", context)


@require_safe
@sees
def agent(request: SignedInRequest, name: str) -> HttpResponse:
    """One agent."""
    return agent_page(request, visible_agent(request.user, name))


def agent_page(request: SignedInRequest, found: Agent, *, status: int = 200, **more: Any) -> HttpResponse:
    """The page of an agent; `more` tells of what was refused."""
    rows = list(found.versions.select_related(*OF_VERSION).order_by("-number")[:VERSIONS_SHOWN])
    missions, has_more = agent_told.missions_of(found, request.user)
    stop = agent_told.stop_of(found)
    current = next((row for row in rows if row.pk == found.active_id), found.active)
    context = {
        **UNREFUSED, "agent": found, "badge": agent_told.state_of(found, is_stopped=stop is not None),
        "rows": rows,
        "missions": missions, "has_more": has_more, "spent": agent_spend.of(found),
        "changes": found.activations.select_related("version", "previous").order_by("-pk")[:CHANGES_SHOWN],
        "budgets": agent_told.budgets_of(found), "stop": stop, "back_to": _back_to(found),
        "seen": found.active.number if found.active is not None else 0, "has_llm": agent_told.has_llm(),
        "may_edit": may_edit_agents(request.user), "may_stop": may_stop(request.user),
        "now": agent_told.version_context(current) if current is not None else None, **more,
    }
    return render(request, "agents/agent.html", context, status=status)


def _back_to(found: Agent) -> list[AgentVersion]:
    """The versions that were in force and are not, the newest first."""
    been = found.versions.filter(activations__isnull=False).exclude(pk=found.active_id or 0)
    return list(been.distinct().order_by("-number")[:VERSIONS_SHOWN])


@require_safe
@sees
def version(request: SignedInRequest, name: str, number: int) -> HttpResponse:
    """One version."""
    return version_page(request, visible_agent(request.user, name), number)


def version_page(
    request: SignedInRequest, found: Agent, number: int, *, status: int = 200, **more: Any
) -> HttpResponse:
    """The page of a version; `more` tells of what was refused. Raises UnknownAgent."""
    shown = _version(found, number)
    active = found.active
    context = {
        **UNREFUSED, **agent_told.version_context(shown), "agent": found,
        "may_edit": may_edit_agents(request.user), "active": active, "has_llm": agent_told.has_llm(),
        "seen": active.number if active is not None else 0,
        "difference": agent_told.between(active, shown) if active is not None and active.pk != shown.pk else None,
        "capabilities": isolation.CAPABILITIES, **more,
    }
    return render(request, "agents/version.html", context, status=status)


@require_safe
@sees
def difference(request: SignedInRequest, name: str) -> HttpResponse:
    """What the version `new` says otherwise than `old`; without them the two newest."""
    found = visible_agent(request.user, name)
    numbers = list(found.versions.order_by("-number").values_list("number", flat=True)[:VERSIONS_SHOWN])
    new = _version(found, _number(request.GET.get("new", ""), numbers[0]))
    old = _version(found, _number(request.GET.get("old", ""), max(new.number - 1, 1)))
    context = {"agent": found, "old": old, "new": new, "numbers": numbers, "fields": agent_told.between(old, new)}
    return render(request, "agents/difference.html", context)


def _number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _version(found: Agent, number: int) -> AgentVersion:
    """The version of this number. Raises UnknownAgent."""
    shown = found.versions.select_related(*OF_VERSION).filter(number=number).first()
    if shown is None:
        raise UnknownAgent(f"The agent {found.name} has no version {number}.")
    return shown
