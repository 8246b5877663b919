"""Showing the editor: one renderer for the page, for htmx after a button, and for the notes while somebody types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from approvals.models import PolicyVersion
from approvals.policies.facts import FIELDS
from approvals.web.policies import checking, differences, rendering, source
from approvals.web.policies.checking import WHOLE, Checked, Note
from approvals.web.policies.drafting import SOURCE, Draft
from missions.engine.registry import all_types
from missions.governance import EffectClass
from missions.tools.learning import current_tools

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)
MOST_OFFERED: Final = 200  # names that a field suggests


def is_name(name: str) -> bool:
    """Whether a policy may be called so."""
    return NAME.fullmatch(name) is not None


def checked(draft: Draft) -> Checked:
    """The notes of a draft in either view; of a text that can not be read there are none."""
    if draft.view == SOURCE:
        policy, fault = source.read(draft.source)
        return Checked(notes=()) if fault else checking.check(policy["rules"])
    return checking.check(draft.written, measured=draft.open)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceNote:
    """One thing to say about the text, with its place in it (0 where that is not known)."""

    line: int
    column: int
    rule: str
    note: Note


def source_notes(draft: Draft, found: Checked) -> list[SourceNote]:
    """The notes of the YAML view, by where they stand."""
    policy, fault = source.read(draft.source)
    if fault is not None:
        return [SourceNote(line=fault.line, column=fault.column, rule="", note=Note(at=WHOLE, message=fault.message))]
    places, rules = source.Places(draft.source), policy["rules"]
    return sorted((_placed(note, places, rules) for note in found.notes), key=lambda one: (one.line, one.column))


def _placed(note: Note, places: source.Places, rules: list[Any]) -> SourceNote:
    if note.at == WHOLE:
        return SourceNote(line=0, column=0, rule="", note=note)
    line, column = places.of(note.at, note.field)
    rule = rules[note.at]
    called = str(rule.get("name", "")) if isinstance(rule, dict) else ""
    return SourceNote(line=line, column=column, rule=called or f"number {note.at + 1}", note=note)


def show(request: HttpRequest, name: str, draft: Draft, *, status: int = 200, **more: Any) -> HttpResponse:
    """The editor, as a fragment where htmx asks. `more`: is_new, fault, refused, name_fault, newest."""
    found = checked(draft)
    context = {
        **_notes(draft, found), "name": name, "is_new": False, "fault": "", "refused": False, "name_fault": "",
        "newest": None, "offers": _offers(), "variables": FIELDS, **more,
    }  # fmt: skip
    context |= _addresses(name, is_new=context["is_new"]) | {"changed": bool(request.method == "POST")}
    if context["is_new"] and context["refused"] and not is_name(name):
        context["name_fault"] = "A name has letters, digits, - and _, at most 100, and begins with a letter or digit."
    if context["newest"] is not None:
        context["difference"] = _against(context["newest"], draft)
    htmx: Any = getattr(request, "htmx", None)
    template = "policies/editor.html#form" if htmx else "policies/editor.html"
    return render(request, template, context, status=status)


def notes(request: HttpRequest, draft: Draft) -> HttpResponse:
    """What the editor says about a draft, as fragments that replace those of the page."""
    found = checked(draft)
    before = _places(request.POST.get("flagged", ""))
    context = _notes(draft, found)
    context["swapped"] = [row for row in context["rows"] if row.at in before | found.places and row.at != draft.open]
    return render(request, "policies/notes.html", context)


def _notes(draft: Draft, found: Checked) -> dict[str, Any]:
    """What both need."""
    is_source = draft.view == SOURCE
    placed = source_notes(draft, found) if is_source else []
    errors = sum(one.note.is_error for one in placed) if is_source else found.errors
    return {
        "draft": draft, "rows": [] if is_source else rendering.rows(draft.written, found),
        "rule": None if is_source else rendering.open_rule(draft, found), "whole": found.of(WHOLE),
        "errors": errors, "warnings": found.warnings, "source_notes": placed, "choices": rendering.CHOICES,
        "errors_word": f"{errors} error{'s' * (errors != 1)}",
        "warnings_word": f"{found.warnings} warning{'s' * (found.warnings != 1)}",
        **{f"focus_{kind}": draft.focus_of(kind) for kind in ("open", "up", "down")},
        "flagged": ",".join(str(at) for at in sorted(found.places)),
    }  # fmt: skip


def _places(text: str) -> frozenset[int]:
    return frozenset(int(at) for at in text[:4000].split(",") if at.isdecimal() and at.isascii() and len(at) < 5)


def _addresses(name: str, *, is_new: bool) -> dict[str, str]:
    if is_new:
        return {"here": reverse("policy-new"), "check_url": reverse("policy-check-new"), "back": reverse("policies")}
    return {
        "here": reverse("policy-edit", args=[name]), "check_url": reverse("policy-check", args=[name]),
        "back": reverse("policy", args=[name]),
    }  # fmt: skip


def _offers() -> dict[str, list[str]]:
    """What the fields suggest; any other text may be typed."""
    return {
        "groups": list(Group.objects.order_by("name").values_list("name", flat=True)[:MOST_OFFERED]),
        "people": list(
            User.objects.filter(is_active=True).order_by("username").values_list("username", flat=True)[:MOST_OFFERED]
        ),
        "tools": sorted(tool.name for tool in current_tools())[:MOST_OFFERED],
        "missions": sorted(kind.name for kind in all_types())[:MOST_OFFERED], "effects": list(EffectClass),
    }  # fmt: skip


def _against(newest: PolicyVersion, draft: Draft) -> Any:
    """How this draft differs from what somebody else saved meanwhile; None where either can not be read."""
    policy = source.read(draft.source)[0] if draft.view == SOURCE else {"rules": draft.written}
    return differences.between(newest.rules, policy["rules"])
