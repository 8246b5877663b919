"""The editor of a draft: the page, what its buttons do, and the check while somebody types.

The page carries the draft, so every button but the saving ones changes nothing here, and a refused save comes back
with all that was typed. htmx gets the form alone; a save that succeeds sends it on to the version's page.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from approvals.models import Policy, PolicyVersion, VersionState
from approvals.policies import shadowing, writing
from approvals.policies.document import InvalidPolicy
from approvals.web.policies import drafting, editor_page, fields, saving, source
from approvals.web.policies.access import writes
from approvals.web.policies.drafting import SOURCE, TABLE, Draft
from approvals.web.policies.fields import NoForm
from approvals.web.policies.source import Fault
from approvals.web.sheet import person
from missions.errors import StandfastError
from missions.web.problems import Problem

SEE_OTHER, CONFLICT, UNPROCESSABLE = 303, 409, 422
SAVES = {"save": "is kept as a draft. It binds nothing.", "save-shadow": "runs in shadow. It binds nothing."}
NEW_RULE = fields.RuleFields(name="rule-1").as_json()


@require_http_methods(["GET", "HEAD", "POST"])
@writes
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """The editor of a policy: of its newest draft, else of what is in force; `?from=N` names another version."""
    policy = Policy.objects.filter(name=name).first()
    if policy is None:
        raise Http404(f"There is no policy {name}.")
    if request.method == "POST":
        return _answered(request, name)
    return editor_page.show(request, name, begun(policy, request.GET.get("from", "")))


@require_http_methods(["GET", "HEAD", "POST"])
@writes
def new(request: HttpRequest) -> HttpResponse:
    """The editor of a policy that is to be."""
    if request.method == "POST":
        return _answered(request, request.POST.get("policy", "").strip(), is_new=True)
    blank = drafting.opened(Draft(rules=(NEW_RULE,)), 0, focus="policy")
    return editor_page.show(request, "", blank, is_new=True)


@require_http_methods(["GET", "HEAD", "POST"])
@writes
def check(request: HttpRequest, name: str = "") -> HttpResponse:
    """What is wrong in the draft that was sent, as fragments for the page that shows it. Saves nothing.

    A GET of its address leads to the editor.
    """
    if request.method != "POST":
        return redirect("policy-edit", name) if name else redirect("policy-new")
    return editor_page.notes(request, received(request))


def received(request: HttpRequest) -> Draft:
    """The draft that was sent. Raises BadRequest for hidden fields that no page of ours makes."""
    try:
        return drafting.posted(request.POST)
    except Problem as problem:
        raise BadRequest(problem.text) from problem


def begun(policy: Policy, number: str) -> Draft:
    """A draft of the policy's version of this number, or of the one that is edited next. Raises Http404."""
    versions = policy.versions.order_by("-number")
    newest = versions.first()
    if newest is None:
        return drafting.opened(Draft(rules=(NEW_RULE,), seen=None), 0)
    base = _base(versions, number) or newest
    seen = replace(Draft(base=base.number, seen=newest.number), rules=tuple(base.rules))
    try:
        for rule in base.rules:
            fields.of_rule(rule)
    except NoForm:
        return as_source(seen, policy.name)
    return seen


def _base(versions: Any, number: str) -> PolicyVersion | None:
    if number:
        found: PolicyVersion | None = versions.filter(number=number).first() if _is_number(number) else None
        if found is None:
            raise Http404(f"There is no version {number}.")
        return found
    drafted: PolicyVersion | None = versions.filter(state=VersionState.DRAFT).first()
    return drafted or versions.filter(state=VersionState.ACTIVE).first()


def _is_number(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 10


def as_source(draft: Draft, name: str) -> Draft:
    """The draft as YAML."""
    rules = draft.written
    return replace(
        draft, view=SOURCE, source=writing.written(name, rules), rules=tuple(rules), open=None, form=None,
        focus="source",
    )


def as_table(draft: Draft) -> Draft:
    """The draft as a table. Raises NoForm where the text is no policy file, or says what has no field."""
    policy, fault = source.read(draft.source)
    if fault is not None:
        raise NoForm(_told(fault))
    for at, rule in enumerate(policy["rules"]):
        try:
            fields.of_rule(rule)
        except NoForm as error:
            called = rule.get("name") if isinstance(rule, dict) else None
            raise NoForm(f"In rule {called or f'number {at + 1}'}, {error}.") from error
    return replace(draft, view=TABLE, source="", rules=tuple(policy["rules"]), open=None, form=None, focus="view-yaml")


def _told(fault: Fault) -> str:
    return f"Line {fault.line}, column {fault.column}: {fault.message}" if fault.line else fault.message


def _answered(request: HttpRequest, name: str, *, is_new: bool = False) -> HttpResponse:
    """What comes of a button."""
    draft, over = received(request), request.POST.get("over", "")
    do = request.POST.get("do", "save" if over else "check")
    if _is_number(over):
        draft = replace(draft, base=int(over), seen=int(over))
    if do in SAVES:
        return _saved(request, name, draft, do, is_new=is_new)
    fault = ""
    try:
        draft = _changed(draft, do, name)
    except NoForm as error:
        fault = str(error)
    return editor_page.show(request, name, draft, is_new=is_new, fault=fault)


def _changed(draft: Draft, do: str, name: str) -> Draft:
    """The draft after a button that saves nothing. Raises NoForm."""
    if do == "view:yaml" and draft.view == TABLE:
        return as_source(draft, name)
    if do == "view:table" and draft.view == SOURCE:
        return as_table(draft)
    if draft.view == SOURCE:
        return draft
    return drafting.done(draft, do)


def _saved(request: HttpRequest, name: str, draft: Draft, do: str, *, is_new: bool) -> HttpResponse:
    """The version's page, or the editor again with what keeps the draft from being saved."""
    rules, fault = rules_of(draft, name)
    checked = editor_page.checked(draft)
    if fault or checked.errors or not editor_page.is_name(name):
        return editor_page.show(request, name, draft, is_new=is_new, fault=fault, refused=True, status=UNPROCESSABLE)
    try:
        version = saving.save(name, rules, by=person(request), base=draft.base, seen=draft.seen)
        if do == "save-shadow":
            shadowing.begin(version, by=person(request), via="console")
    except saving.Overtaken as overtaken:
        return editor_page.show(request, name, draft, is_new=is_new, newest=overtaken.newest, status=CONFLICT)
    except saving.NameTaken as taken:
        return editor_page.show(request, name, draft, is_new=is_new, name_fault=str(taken), status=CONFLICT)
    except InvalidPolicy as invalid:
        return editor_page.show(
            request, name, draft, is_new=is_new, fault=str(invalid), refused=True, status=UNPROCESSABLE
        )
    except StandfastError as refused:
        return editor_page.show(request, name, draft, is_new=is_new, fault=str(refused), refused=True, status=CONFLICT)
    messages.success(request, f"{version} {SAVES[do]}")
    return _onward(request, reverse("policy-version", args=[name, version.number]))


def rules_of(draft: Draft, name: str) -> tuple[list[Any], str]:
    """The rules of either view, or why there are none."""
    if draft.view == TABLE:
        return draft.written, ""
    policy, fault = source.read(draft.source)
    if fault is not None:
        return [], _told(fault)
    if policy.get("name", name) != name:
        return [], f"The text calls the policy {policy['name']!r}; this is {name!r}."
    unknown = sorted(policy.keys() - {"name", "rules", "mode"})
    return policy["rules"], f"The text has the unknown field {unknown[0]}." if unknown else ""


def _onward(request: HttpRequest, url: str) -> HttpResponse:
    htmx: Any = getattr(request, "htmx", None)
    return HttpResponseClientRedirect(url) if htmx else HttpResponse(status=SEE_OTHER, headers={"Location": url})



