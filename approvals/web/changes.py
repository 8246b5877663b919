"""What changed between two sets of arguments, field by field, in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from approvals.models import Decision, Vote
from approvals.web.values import Value, value_of

ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One argument before and after; None where it was not there."""

    label: str
    name: str
    before: Value | None
    after: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit of what is asked."""

    vote: Vote
    changes: list[Change]


def between(before: dict[str, Any], after: dict[str, Any], schema: dict[str, Any] | None = None) -> list[Change]:
    """The arguments that differ, in the order of the schema, then by name."""
    properties: dict[str, Any] = (schema or {}).get("properties") or {}
    names = [*properties, *sorted({*before, *after} - set(properties))]
    return [
        _change(name, before.get(name, ABSENT), after.get(name, ABSENT), (properties.get(name) or {}).get("title"))
        for name in names
        if before.get(name, ABSENT) != after.get(name, ABSENT)
    ]


def _change(name: str, before: Any, after: Any, title: Any) -> Change:
    old = value_of(name, before, title) if before is not ABSENT else None
    new = value_of(name, after, title) if after is not ABSENT else None
    known = old or new
    assert known is not None
    return Change(label=known.label, name=name, before=old, after=new)


def edits_of(decision: Decision) -> list[Edit]:
    """All edits of a decision, in order; reads its votes as loaded."""
    made = sorted((vote for vote in decision.votes.all() if vote.edited_from is not None), key=lambda vote: vote.pk)
    after = [*(vote.edited_from for vote in made[1:]), decision.action.get("args") or {}]
    schema = decision.action.get("args_schema")
    return [
        Edit(vote=vote, changes=between(vote.edited_from or {}, now or {}, schema))
        for vote, now in zip(made, after, strict=False)
    ]


def since(decision: Decision, digest: str) -> list[Change]:
    """What changed since the digest that somebody saw; nothing where that is not known."""
    seen = next((vote for vote in decision.votes.all() if vote.edited_from is not None and vote.digest == digest), None)
    if seen is None:
        return []
    return between(seen.edited_from or {}, decision.action.get("args") or {}, decision.action.get("args_schema"))


def of_evidence(decision: Decision) -> list[Change]:
    """What a decision rests on that has changed since an earlier answer; that answer counts no more."""
    return [
        _change(f"{one['title']}: {field['at']}", field["old"], field["new"], f"{one['title']}: {field['at']}")
        for one in decision.facts.get("changed") or ()
        for field in one["fields"]
    ]


def of_form(decision: Decision) -> list[Change]:
    """How a tool is offered now, against how it was accepted."""
    rows = decision.facts.get("form_changes") or ()
    return [_change(one["where"], _or_absent(one["before"]), _or_absent(one["after"]), one["where"]) for one in rows]


def _or_absent(value: Any) -> Any:
    return ABSENT if value is None else value


def superseding(old: Decision | None, new: Decision | None) -> list[Change]:
    """What differs between a decision and the one that took its place."""
    if old is None or new is None:
        return []
    before, after = old.action.get("args") or {}, new.action.get("args") or {}
    return between({**before}, {**after}, new.action.get("args_schema"))
