"""Who there is to ask, and whether a tier can come to its quorum with them.

Reads groups and people; judges tiers as they are written, in policies and in what other systems ask. Delegation adds
nobody: whoever votes in another's place uses up that one's vote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import Count, Q

from approvals.policies.strictness import approvers


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Who there is to ask."""

    groups: Mapping[str, int]  # active members by group
    people: frozenset[str]  # active, by username

    @classmethod
    def of_now(cls, but: User | None = None) -> Staff:
        """As the database has it, without a person whose vote does not count; two statements."""
        counts = Q(user__is_active=True) & (~Q(user=but) if but is not None else Q())
        groups = dict(Group.objects.annotate(members=Count("user", filter=counts)).values_list("name", "members"))
        people = set(User.objects.filter(is_active=True).values_list("username", flat=True))
        return cls(groups=groups, people=frozenset(people - ({but.username} if but is not None else set())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What a tier lacks."""

    field: str
    code: str  # unknown_group, unknown_person, unreachable_quorum
    message: str


def gaps(field: str, tier: Mapping[str, Any], staff: Staff) -> Iterator[Gap]:
    """What is wrong with the tier at this field; nothing where it can come to its quorum."""
    asked = approvers(dict(tier))
    asked += [one["fallback"] for one in asked if one.get("fallback")]
    for one in asked:
        yield from _unknown(field, one, staff)
    known = [staff.groups[one["group"]] for one in asked if one.get("group") in staff.groups]
    people = sum(1 for one in asked if one.get("person") in staff.people or one.get("attribute"))
    able, quorum = sum(known) + people, int(tier["quorum"])
    if known and able < quorum:
        message = f"It needs {quorum} approvals, and {able} can give one."
        yield Gap(field=f"{field}.quorum", code="unreachable_quorum", message=message)


def _unknown(field: str, approver: Mapping[str, Any], staff: Staff) -> Iterator[Gap]:
    for kind, known in (("group", staff.groups), ("person", staff.people)):
        name = approver.get(kind)
        if name is not None and name not in known:
            message = f"There is no {'group' if kind == 'group' else 'active person'} {name}."
            yield Gap(field=f"{field}.{kind}", code=f"unknown_{kind}", message=message)
