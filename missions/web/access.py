"""Who may see which missions, and who may start and direct them; the one place that says so.

Used by the API, the console and the sockets. Decisions have rules of their own (approvals): seeing a mission gives no
vote. What may not be seen is answered like what does not exist.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from missions.errors import UnknownAgent, UnknownMission, UnknownSchedule
from missions.models import Agent, Archived, Mission, Schedule
from missions.visibility import SEE_ALL, seen_by, types_seen_by

if TYPE_CHECKING:
    from django.contrib.auth.models import User

START = frozenset({"operators", "supervisors"})
SCHEDULE = frozenset({"operators"})
STEER = frozenset({"operators"})
LIMIT = frozenset({"operators"})
STOP = frozenset({"operators", "policy-admins", "supervisors"})
LIFT = frozenset({"policy-admins"})
ACCEPT = frozenset({"policy-admins"})
READ_SERVERS = frozenset({"auditors", "policy-admins"})
BUDGET = frozenset({"policy-admins"})
EDIT_AGENTS = frozenset({"agent-admins"})
SEE_AGENTS = SEE_ALL | EDIT_AGENTS
OPERATORS_ONLY = frozenset({"retry", "rollback"})  # the controls that only who steers may ask for


def sees_all(user: User | AnonymousUser) -> bool:
    """Whether a person sees every mission; the others see those that they started."""
    return _in_any(user, SEE_ALL)


def may_start(user: User | AnonymousUser) -> bool:
    """Whether a person may start missions."""
    return _in_any(user, START)


def may_schedule(user: User | AnonymousUser) -> bool:
    """Whether a person sees, makes and changes schedules: operators and administrators."""
    return _in_any(user, SCHEDULE)


def may_budget(user: User | AnonymousUser) -> bool:
    """Whether a person may set period budgets: policy admins and administrators."""
    return _in_any(user, BUDGET)


def may_limit(user: User | AnonymousUser) -> bool:
    """Whether a person may set limits and circuits: operators and administrators."""
    return _in_any(user, LIMIT)


def may_stop(user: User | AnonymousUser) -> bool:
    """Whether a person may press stop buttons."""
    return _in_any(user, STOP)


def may_lift(user: User | AnonymousUser) -> bool:
    """Whether a person may let go on what was stopped: policy admins and administrators."""
    return _in_any(user, LIFT)


def may_see_agents(user: User | AnonymousUser) -> bool:
    """Whether a person sees agents and their versions: whoever oversees missions, and who edits agents."""
    return _in_any(user, SEE_AGENTS)


def may_edit_agents(user: User | AnonymousUser) -> bool:
    """Whether a person makes versions of agents and says which is in force: agent admins and administrators."""
    return _in_any(user, EDIT_AGENTS)


def may_accept_tools(user: User | AnonymousUser) -> bool:
    """Whether a person may accept a tool that its server has changed: policy admins and administrators."""
    return _in_any(user, ACCEPT)


def may_register_servers(user: User | AnonymousUser) -> bool:
    """Whether a person may register MCP servers, which may be sent secrets, and take them away: administrators."""
    return user.is_active and user.is_superuser


def may_read_servers(user: User | AnonymousUser) -> bool:
    """Whether a person sees what is registered of an MCP server, and not only how it was found."""
    return _in_any(user, READ_SERVERS)


def may_thaw(user: User | AnonymousUser) -> bool:
    """Whether a person may thaw a frozen installation: administrators."""
    return user.is_active and user.is_superuser


def may_direct(user: User | AnonymousUser, mission: Mission) -> bool:
    """Whether a person may send signals to a mission that they see: who may start missions, and who started it."""
    return may_start(user) or (user.pk is not None and user.is_active and mission.brief.started_by_id == user.pk)


def may_steer(user: User | AnonymousUser) -> bool:
    """Whether a person may roll back, retry and fork missions, and steer many at once."""
    return _in_any(user, STEER)


def may_control(user: User | AnonymousUser, mission: Mission, verb: str) -> bool:
    """Whether a person may ask for this control: who steers for all, who directs for those but `OPERATORS_ONLY`."""
    return may_steer(user) or (verb not in OPERATORS_ONLY and may_direct(user, mission))


def visible_missions(user: User | AnonymousUser) -> QuerySet[Mission]:
    """The missions that a person may see; none for the anonymous and the inactive."""
    return Mission.objects.filter(seen_by(user))


def visible_archive(user: User | AnonymousUser) -> QuerySet[Archived]:
    """The archived missions that a person may see, by the same rule."""
    return Archived.objects.filter(seen_by(user, owner="started_by_id"), removed_at__isnull=False, returned_at=None)


def visible_mission(user: User | AnonymousUser, uid: uuid.UUID) -> Mission:
    """One mission with its brief and outcome. Raises UnknownMission, also where the person may not see it."""
    found = visible_missions(user).select_related("brief__started_by", "outcome").filter(uid=uid).first()
    if found is None:
        raise UnknownMission(f"There is no mission {uid}, or you may not see it.")
    return found


def unseen_among(user: User | AnonymousUser, uids: Collection[uuid.UUID]) -> list[uuid.UUID]:
    """Those of these missions that exist and that the person may not see."""
    rows = Mission.objects.filter(uid__in=uids).exclude(pk__in=visible_missions(user).values("pk")) if uids else ()
    return [row.uid for row in rows]


def visible_schedules(user: User | AnonymousUser) -> QuerySet[Schedule]:
    """The schedules that a person may see: none but for who may schedule, and of those the types that they may see,
    beside what runs in their own name."""
    if not may_schedule(user):
        return Schedule.objects.none()
    shown = types_seen_by(user)
    return Schedule.objects.filter(shown | Q(run_as=user.pk) if shown else shown)


def visible_schedule(user: User | AnonymousUser, name: str) -> Schedule:
    """The schedule of this name. Raises UnknownSchedule, also where the person may not see it."""
    found = visible_schedules(user).select_related("run_as").filter(name=name).first()
    if found is None:
        raise UnknownSchedule(f"There is no schedule {name!r}, or you may not see it.")
    return found


def visible_agent(user: User | AnonymousUser, name: str) -> Agent:
    """The agent of this name. Raises UnknownAgent, also where the person may not see agents."""
    rows = Agent.objects.select_related("active__agent", "created_by").filter(name=name)
    found = rows.first() if may_see_agents(user) else None
    if found is None:
        raise UnknownAgent(f"There is no agent {name!r}, or you may not see it.")
    return found


def held_by(user: User | AnonymousUser, groups: frozenset[str], names: Collection[str]) -> bool:
    """As the questions above, for a page that asks several of them and has read the names of the person's groups."""
    return user.is_active and (user.is_superuser or not groups.isdisjoint(names))


def _in_any(user: User | AnonymousUser, groups: frozenset[str]) -> bool:
    """Asked anew each time: a socket outlives a person's membership."""
    if not user.is_active:
        return False
    return user.is_superuser or user.groups.filter(name__in=groups).exists()
