"""The pages of policies that only read: the list, a policy, a version, the difference of two, a version as YAML."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from approvals.models import Mode, Policy, PolicyVersion, VersionState
from approvals.policies import lifecycle, touching, versions, writing
from approvals.policies.document import InvalidPolicy
from approvals.policies.rights import may_edit
from approvals.web.policies import checking, differences, rendering, told
from approvals.web.policies.access import reads
from approvals.web.policies.forms import AS_THE_REST, ModeForm, SubmitForm
from approvals.web.sheet import person

TOUCHED_SHOWN = 20


@require_safe
@reads
def policies_page(request: HttpRequest) -> HttpResponse:
    """The list."""
    context = {
        "rows": told.listed(), "may_edit": may_edit(request.user), "seen": told.seen(person(request)),
        "policy_fault": versions.in_force().unreadable,
    }  # fmt: skip
    return render(request, "policies/list.html", context)


@require_safe
@reads
def policy_page(request: HttpRequest, name: str) -> HttpResponse:
    """One policy."""
    return show_policy(request, name)


def show_policy(request: HttpRequest, name: str, *, status: int = 200, form: Any = None) -> HttpResponse:
    """One policy, with a form for its modes that was refused. Raises Http404."""
    policy = policy_of(name)
    rows = told.versions(policy)
    active = next((row for row in rows if row.version.state == VersionState.ACTIVE), None)
    context = {
        "policy": policy, "rows": rows, "active": active, "newest": rows[0] if rows else None,
        "mode": told.MODES[Mode(policy.mode)], "mode_means": told.MODE_MEANS[Mode(policy.mode)],
        "scopes": told.scopes(policy),
        "mode_changes": told.mode_changes(policy), "events": told.events(policy),
        "seen": told.seen(person(request), policy),
        "pending": [
            {"row": row, "touched": lifecycle.touched(row.version)}
            for row in rows if row.version.state in told.OPEN_STATES
        ],
        "modes": [*Mode.choices, (AS_THE_REST, "As the rest (with a scope)")], "may_edit": may_edit(request.user),
        "errors": form.errors if form else {}, "typed": typed(form or ModeForm()),
    }  # fmt: skip
    return render(request, "policies/policy.html", context, status=status)


@require_safe
@reads
def version_page(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """One version."""
    return show_version(request, name, number)


def show_version(
    request: HttpRequest, name: str, number: int, *, status: int = 200, form: Any = None
) -> HttpResponse:
    """One version, with a form to submit it that was refused. Raises Http404."""
    version = version_of(name, number)
    active = version.policy.versions.filter(state=VersionState.ACTIVE).first()
    waiting = version.state in told.OPEN_STATES
    found = lifecycle.touched(version) if waiting else touching.Touched()
    shown = touching.shown_to(person(request), found.decisions)
    checked = checking.check(version.rules)
    context = {
        "version": version, "row": told.row(version), "seen": told.seen(person(request), version.policy),
        "rules": rendering.rows(version.rules, checked),
        "whole": rendering.whole(checked), "active": active if active != version else None, "waiting": waiting,
        "touched": found, "touched_shown": shown[:TOUCHED_SHOWN],
        "touched_hidden": len(found.decisions) - len(shown), "touched_more": len(shown) > TOUCHED_SHOWN,
        "may_edit": may_edit(request.user),
        "is_draft": version.state == VersionState.DRAFT, "in_review": version.state == VersionState.IN_REVIEW,
        "in_shadow": version.state == VersionState.SHADOW, "is_old": version.state == VersionState.RETIRED,
        "difference": _difference(active, version) if active and active != version else None,
        "try_url": _beside(version, "try"), "replay_url": _beside(version, "replay"),
        "errors": form.errors if form else {},
        "typed": typed(form or SubmitForm()),
    }  # fmt: skip
    return render(request, "policies/version.html", context, status=status)


@require_safe
@reads
def difference_page(request: HttpRequest, name: str) -> HttpResponse:
    """What the version `new` changes of `old`; without them, the newest of what is in force, else of itself."""
    policy = policy_of(name)
    newest = policy.versions.order_by("-number").first()
    active = policy.versions.filter(state=VersionState.ACTIVE).first() or newest
    old = _chosen(policy, request.GET.get("old", str(active.number if active else "")))
    new = _chosen(policy, request.GET.get("new", str(newest.number if newest else "")))
    context = {
        "policy": policy, "old": told.row(old), "new": told.row(new), "difference": _difference(old, new),
        "numbers": list(policy.versions.order_by("-number").values_list("number", flat=True)),
    }  # fmt: skip
    return render(request, "policies/difference.html", context)


@require_safe
@reads
def export(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """A version as a policy file, which `manage.py policy load` and the import take again."""
    version = version_of(name, number)
    text = writing.written(version.policy.name, version.rules, version.policy.mode)
    file = f'attachment; filename="{version.policy.name}-v{number}.yaml"'
    return HttpResponse(text, content_type="application/yaml; charset=utf-8", headers={"Content-Disposition": file})


def policy_of(name: str) -> Policy:
    """The policy. Raises Http404."""
    policy = Policy.objects.filter(name=name).first()
    if policy is None:
        raise Http404(f"There is no policy {name}.")
    return policy


def version_of(name: str, number: int) -> PolicyVersion:
    """The version with its details. Raises Http404."""
    version = told.one_version(name, number)
    if version is None:
        raise Http404(f"There is no version {number} of {name}.")
    return version


def typed(form: forms.Form) -> dict[str, str]:
    """What was typed into a form, field by field."""
    return {name: form[name].value() or "" for name in form.fields}


def _beside(version: PolicyVersion, what: str) -> str:
    """The address of a simulation's page, which lies below the version's."""
    return f"{reverse('policy-version', args=[version.policy.name, version.number])}{what}/"


def _chosen(policy: Policy, number: str) -> PolicyVersion:
    found = told.one_version(policy.name, int(number)) if number.isdecimal() and len(number) < 10 else None
    if found is None:
        raise Http404(f"There is no version {number[:20]} of {policy.name}.")
    return found


def _difference(old: PolicyVersion, new: PolicyVersion) -> differences.Difference | None:
    """None where one of them can not be read."""
    try:
        return differences.between(old.rules, new.rules)
    except InvalidPolicy:
        return None
