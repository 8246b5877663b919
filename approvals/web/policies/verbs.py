"""The forms of policies that change something: submit, withdraw, restore, run in shadow, modes, import.

Each is a POST that calls one verb of `approvals.policies.lifecycle` and leads on; a refusal comes back in words with
what was typed. A GET of such an address leads to the page that has the form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from approvals.models import Decision, PolicyVersion
from approvals.policies import lifecycle, shadowing
from approvals.policies.document import InvalidPolicy
from approvals.web.policies import importing, pages
from approvals.web.policies.access import writes
from approvals.web.policies.forms import ImportForm, ModeForm, SubmitForm
from approvals.web.sheet import person
from missions.errors import StandfastError

CONSOLE = "console"
SEE_OTHER, CONFLICT, UNPROCESSABLE = 303, 409, 422
Verb = Callable[[HttpRequest, PolicyVersion], tuple[str, str]]  # what was done, in words, and where to go on
View = Callable[[HttpRequest, str, int], HttpResponse]


def of_a_version(verb: Verb) -> View:
    """The view of a button on a version's page."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @writes
    def answer(request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = pages.version_of(name, number)
        if request.method != "POST":
            return redirect("policy-version", name, number)
        try:
            said, url = verb(request, version)
        except StandfastError as refused:
            messages.error(request, str(refused))
            return pages.show_version(request, name, number, status=CONFLICT)
        messages.success(request, said)
        return HttpResponse(status=SEE_OTHER, headers={"Location": url})

    return answer


def _page(version: PolicyVersion) -> str:
    return reverse("policy-version", args=[version.policy.name, version.number])


@of_a_version
def withdraw(request: HttpRequest, version: PolicyVersion) -> tuple[str, str]:
    """Out of review, out of its schedule, or out of shadow: a draft again."""
    if shadowing.is_by_hand(version):
        shadowing.end(version, by=person(request), via=CONSOLE)
    else:
        lifecycle.withdraw(version, by=person(request), via=CONSOLE)
    return f"{version} is a draft again.", _page(version)


@of_a_version
def restore(request: HttpRequest, version: PolicyVersion) -> tuple[str, str]:
    """A new draft with these rules."""
    made = lifecycle.restore(version, by=person(request), via=CONSOLE)
    return f"{made} is a draft with the rules of v{version.number}.", _page(made)


@of_a_version
def begin_shadow(request: HttpRequest, version: PolicyVersion) -> tuple[str, str]:
    """Evaluated and recorded from now on, binding nothing."""
    shadowing.begin(version, by=person(request), via=CONSOLE)
    return f"{version} runs in shadow. It binds nothing.", _page(version)


@require_http_methods(["GET", "HEAD", "POST"])
@writes
def submit(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Ask other people to put a version in force."""
    version, form = pages.version_of(name, number), SubmitForm(request.POST)
    if request.method != "POST":
        return redirect("policy-version", name, number)
    if not form.is_valid():
        return pages.show_version(request, name, number, status=UNPROCESSABLE, form=form)
    try:
        decision = _submitted(version, person(request), form.cleaned_data)
    except StandfastError as refused:
        messages.error(request, str(refused))
        return pages.show_version(request, name, number, status=CONFLICT, form=form)
    messages.success(request, f"{version} is in review.")
    return HttpResponse(status=SEE_OTHER, headers={"Location": reverse("decision", args=[decision.pk])})


def _submitted(version: PolicyVersion, by: User, asked: dict[str, Any]) -> Decision:
    """The decision. What runs in shadow runs no longer while people decide."""
    with transaction.atomic():
        if shadowing.is_by_hand(version):
            shadowing.end(version, by=by, via=CONSOLE)
        return lifecycle.submit(version, by=by, via=CONSOLE, **asked)


@require_http_methods(["GET", "HEAD", "POST"])
@writes
def mode(request: HttpRequest, name: str) -> HttpResponse:
    """Ask other people to change how far a policy binds; at once where nothing of it is in force."""
    policy, form = pages.policy_of(name), ModeForm(request.POST)
    if request.method != "POST":
        return redirect("policy", name)
    if not form.is_valid():
        return pages.show_policy(request, name, status=UNPROCESSABLE, form=form)
    try:
        decision = lifecycle.set_mode(
            policy, form.wanted, by=person(request), scope=form.scope, reason=form.cleaned_data["reason"],
            via=CONSOLE,
        )
    except StandfastError as refused:
        messages.error(request, str(refused))
        return pages.show_policy(request, name, status=CONFLICT, form=form)
    messages.success(request, "Other people are asked to agree." if decision else "The mode was changed.")
    target = reverse("decision", args=[decision.pk]) if decision else reverse("policy", args=[name])
    return HttpResponse(status=SEE_OTHER, headers={"Location": target})


@require_http_methods(["GET", "HEAD", "POST"])
@writes
def import_file(request: HttpRequest) -> HttpResponse:
    """Policies of a YAML file as drafts: all of them, or none."""
    if request.method != "POST":
        return render(request, "policies/import.html", {"text": "", "problems": []})
    form = ImportForm(request.POST, request.FILES)
    text = request.POST.get("text", "")
    if not form.is_valid():
        said = [str(one) for texts in form.errors.values() for one in texts]
        return render(request, "policies/import.html", {"text": text, "problems": said}, status=UNPROCESSABLE)
    text = form.cleaned_data["text"]
    try:
        kept = importing.keep(text, by=person(request))
    except InvalidPolicy as invalid:
        said = [str(problem) for problem in invalid.problems]
        return render(request, "policies/import.html", {"text": text, "problems": said}, status=UNPROCESSABLE)
    except StandfastError as refused:
        return render(request, "policies/import.html", {"text": text, "problems": [str(refused)]}, status=CONFLICT)
    messages.success(request, f"Kept as drafts: {', '.join(map(str, kept))}. They bind nothing.")
    target = _page(kept[0]) if len(kept) == 1 else reverse("policies")
    return HttpResponse(status=SEE_OTHER, headers={"Location": target})
