"""Who would gain by a change of a policy, and therefore has no say in it.

Whoever may approve more than before gains, and so does whoever owns missions that may do more than before. `of` says
by what right, when the change is asked; `gainers` who has that right, each time that it matters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.contrib.auth.models import User
from django.db.models import QuerySet

from approvals.policies import strictness
from approvals.policies.rules import Effect, matches
from approvals.policies.strictness import Row, approvers
from missions.models import Mission
from missions.models.mission import ENDED

Json = dict[str, Any]
KINDS: Final = ("group", "person")
APPROVES: Final = "The change would let you approve more than you may now, so someone else has to decide."
OWNS: Final = "The change would let missions of yours do more than they may now, so someone else has to decide."


def of(old: Sequence[Row], new: Sequence[Row]) -> Json:
    """What gives a gain: `{group: […], person: […], mission_type: [globs]}`, each without repeats.

    An approver that is found by an attribute counts through its fallback: whom the attribute finds is not known yet.
    """
    found: dict[str, list[str]] = {"group": [], "person": [], "mission_type": []}
    for row in new:
        before = _asked(strictness.covering(old, row.rule))
        for kind, name in _asked([row]):
            if (kind, name) not in before:
                found[kind].append(name)
    found["mission_type"] = [row.rule.scope.mission_type for row, _ in strictness.loosened(old, new)]
    return {kind: list(dict.fromkeys(names)) for kind, names in found.items()}


def _asked(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The groups and persons that these rows ask, fallbacks included."""
    asking = [row for row in rows if row.rule.effect is Effect.ESCALATE]
    specs = [one for row in asking for tier in row.tiers for one in approvers(tier)]
    specs += [one["fallback"] for one in specs if one.get("fallback")]
    return [(kind, str(one[kind])) for one in specs for kind in KINDS if one.get(kind)]


def gainers(gains: Mapping[str, Any]) -> dict[int, str]:
    """The users who have such a right now, each with the reason in words for them."""
    found = dict.fromkeys(_owners(gains.get("mission_type") or []), OWNS)
    return found | dict.fromkeys(_approvers(gains).values_list("pk", flat=True), APPROVES)


def _approvers(gains: Mapping[str, Any]) -> QuerySet[User]:
    people = User.objects.filter(username__in=gains.get("person") or [])
    return (people | User.objects.filter(groups__name__in=gains.get("group") or [])).distinct()


def _owners(globs: Sequence[str]) -> set[int]:
    """Who started a mission of such a type that has not ended."""
    if not globs:
        return set()
    live = Mission.objects.exclude(state__in=ENDED).filter(brief__started_by__isnull=False)
    owners: dict[str, set[int]] = defaultdict(set)
    for kind, owner in live.values_list("type", "brief__started_by_id").distinct():
        owners[kind].add(owner)
    return {one for kind, ids in owners.items() if any(matches(glob, kind) for glob in globs) for one in ids}


def merged(one: Json, other: Json) -> Json:
    """Both gains together."""
    return {kind: list(dict.fromkeys([*one[kind], *other[kind]])) for kind in one}
