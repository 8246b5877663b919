"""What people do on the pages of agents: make versions, and say which one is in force. Complete without scripts.

A GET of a deed's address leads back to the page that has its form. What was refused is shown there with what was typed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from missions.agents import activation, checking, versions
from missions.agents.activation import Deed
from missions.agents.versions import AgentExists, Wish
from missions.errors import InvalidInput, StandfastError, UnknownAgent
from missions.models import Activation, Agent, AgentVersion
from missions.web.access import may_edit_agents, visible_agent
from observability.console import agent_told
from observability.console.agent_form import AgentForm
from observability.console.agent_views import agent_page, sees, version_page
from observability.console.requests import SignedInRequest

SEE_OTHER, FORBIDDEN, CONFLICT, UNPROCESSABLE = 303, 403, 409, 422
CHECK = "check"  # the button that only looks
WORDS = {
    Activation.What.ACTIVATED: "is in force.", Activation.What.ROLLED_BACK: "is in force again.",
    Activation.What.RETIRED: "is retired; no call in its name starts any more.",
}  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@sees
def new(request: SignedInRequest) -> HttpResponse:
    """The form of a new agent; a good POST leads to its first version, a bad one shows the form again with 422."""
    if not may_edit_agents(request.user):
        return render(request, "agents/may_not.html", status=FORBIDDEN)
    form = AgentForm(request.POST if request.method == "POST" else None, is_new=True)
    return _answered(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@sees
def edit(request: SignedInRequest, name: str) -> HttpResponse:
    """The form of a new version: from the newest one, or from `?from=N`."""
    found = visible_agent(request.user, name)
    if not may_edit_agents(request.user):
        return render(request, "agents/may_not.html", {"agent": found}, status=FORBIDDEN)
    data = request.POST if request.method == "POST" else None
    return _answered(request, AgentForm(data, version=_base(found, request.GET.get("from", "")), is_new=False), found)


def _base(found: Agent, number: str) -> AgentVersion | None:
    rows = found.versions.order_by("-number")
    wanted = _number(number)
    return (rows.filter(number=wanted).first() if wanted is not None else None) or rows.first()


def _number(text: str) -> int | None:
    """A whole number of few digits; None for all else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _answered(request: SignedInRequest, form: AgentForm, found: Agent | None) -> HttpResponse:
    """Save, or show the form again with what is wrong or odd."""
    name, warnings = found.name if found is not None else "", None
    if form.is_bound and form.is_valid():
        name = found.name if found is not None else form.cleaned_data["name"]
        try:
            if request.POST.get("do") == CHECK:
                warnings = checking.check(form.said(), agent=name).warnings
            else:
                return _saved(request, form, name, is_new=found is None)
        except AgentExists as refused:
            form.add_error("name", str(refused))
            form.mark("name")
        except InvalidInput as refused:
            form.add_refusals(refused)
    context = {
        "form": form, "agent": found, "warnings": agent_told.notes(warnings or ()), "checked": warnings is not None,
        "has_llm": agent_told.has_llm(),
    }
    return render(request, "agents/form.html", context, status=UNPROCESSABLE if form.errors else 200)


def _saved(request: SignedInRequest, form: AgentForm, name: str, *, is_new: bool) -> HttpResponse:
    given = form.cleaned_data
    wish = Wish(by=request.user, via="console", note=given["note"], base=given["base"])
    saved = (versions.create if is_new else versions.save)(name, form.said(), wish)
    told = "is kept. It binds nothing before it is put in force." if saved.created else "says just that already."
    messages.success(request, f"{saved.version} {told}")
    return _away("agent-version", name, saved.version.number)


# -- What is in force --------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@sees
def activate(request: SignedInRequest, name: str, number: int) -> HttpResponse:
    """Put a version in force."""

    def show(found: Agent, status: int, **more: Any) -> HttpResponse:
        return version_page(request, found, number, status=status, **more)

    return _done(request, name, lambda deed: activation.activate(name, number, deed), show)


@require_http_methods(["GET", "HEAD", "POST"])
@sees
def roll_back(request: SignedInRequest, name: str) -> HttpResponse:
    """Put an older version back in force."""
    to = _number(request.POST.get("to", ""))
    return _done(request, name, lambda deed: activation.roll_back(name, deed, to=to), _agent_page(request))


@require_http_methods(["GET", "HEAD", "POST"])
@sees
def retire(request: SignedInRequest, name: str) -> HttpResponse:
    """Take the agent out of force."""
    return _done(request, name, lambda deed: activation.retire(name, deed), _agent_page(request))


def _agent_page(request: SignedInRequest) -> Callable[..., HttpResponse]:
    def show(found: Agent, status: int, **more: Any) -> HttpResponse:
        return agent_page(request, found, status=status, **more)

    return show


def _done(
    request: SignedInRequest, name: str, act: Callable[[Deed], Activation], show: Callable[..., HttpResponse]
) -> HttpResponse:
    """Do it and lead to the agent's page; what was refused is shown where it was asked for."""
    found = visible_agent(request.user, name)
    if request.method != "POST":
        return redirect("agent", name)
    if not may_edit_agents(request.user):
        return render(request, "agents/may_not.html", {"agent": found}, status=FORBIDDEN)
    why = request.POST.get("reason", "")
    deed = Deed(by=request.user, via="console", why=why, seen=_number(request.POST.get("seen", "")))
    try:
        done = act(deed)
    except UnknownAgent:
        raise
    except InvalidInput as refused:
        return show(found, UNPROCESSABLE, refused=refused.errors[0]["message"], typed=why)
    except StandfastError as refused:
        found.refresh_from_db()
        return show(found, CONFLICT, refused=str(refused), lacks=refused.facts.get("missing"), typed=why)
    messages.success(request, f"{done.version or done.agent} {WORDS[Activation.What(done.what)]}")
    return _away("agent", name)


def _away(page: str, *args: Any) -> HttpResponse:
    return HttpResponseRedirect(reverse(page, args=args), status=SEE_OTHER)
