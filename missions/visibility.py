"""Who may see which missions, as a filter of queries: by role, by what is restricted, and by who started them.

Knows no web framework, so that every list of every layer starts from it. A type that this process does not know is
hidden from all groups as soon as any data class is restricted: nobody can tell what its missions hold.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from missions import data_classes
from missions.engine.registry import all_types
from missions.models import RestrictedScope, Restriction

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SEE_ALL = frozenset({"operators", "auditors", "supervisors", "finance", "legal", "policy-admins"})
NOTHING = Q(pk__in=[])
Groups = dict[str, set[str]]  # what is restricted → the groups that see it all the same


def seen_by(user: User | AnonymousUser, *, mission: str = "", owner: str = "brief__started_by") -> Q:
    """What this person may see, of rows whose mission's columns begin with `mission`; one or two statements.

    Members of the roles that oversee see all but what is restricted to other groups, all others what they started.
    """
    if not user.is_active or user.pk is None:
        return NOTHING
    if user.is_superuser:
        return Q()
    mine, groups = Q(**{f"{mission}{owner}": user.pk}), set(user.groups.values_list("name", flat=True))
    if not groups & SEE_ALL:
        return mine
    shown = unrestricted(groups, mission)
    return mine | shown if shown else shown  # `or` with an empty condition would be the other one alone


def types_seen_by(user: User | AnonymousUser, *, prefix: str = "") -> Q:
    """What a member of a role may see, of rows that belong to a mission type and to nobody: schedules, daily figures.

    The column is called `type`, after `prefix`. Whether they have such a role, the caller has asked.
    """
    if not user.is_active or user.pk is None:
        return NOTHING
    return Q() if user.is_superuser else unrestricted(set(user.groups.values_list("name", flat=True)), prefix)


def unrestricted(groups: set[str], mission: str = "") -> Q:
    """What members of these groups see as far as restrictions go; everything where nothing is restricted."""
    types, classes = _restrictions()
    kind, shown = f"{mission}type", Q()
    if hidden := [name for name, allowed in types.items() if not allowed & groups]:
        shown &= ~Q(**{f"{kind}__in": hidden})
    if any(not allowed & groups for allowed in classes.values()):
        shown &= Q(**{f"{kind}__in": _cleared_types(classes, groups)})
    return shown


def _restrictions() -> tuple[Groups, Groups]:
    found: dict[str, Groups] = {scope: defaultdict(set) for scope in RestrictedScope.values}
    for scope, name, group in Restriction.objects.values_list("scope", "name", "group"):
        found[scope][name].add(group)
    return found[RestrictedScope.MISSION_TYPE], found[RestrictedScope.DATA_CLASS]


def _cleared_types(classes: Groups, groups: set[str]) -> list[str]:
    """The types none of whose data classes is restricted to other groups."""
    barred = {name for name, allowed in classes.items() if not allowed & groups}
    return sorted({kind.name for kind in all_types() if not barred & set(data_classes.opened(kind.data_classes))})
