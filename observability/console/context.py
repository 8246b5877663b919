"""What every page knows: the section it belongs to, and how many decisions wait for its reader."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from missions.engine import freezing, stops
from missions.visibility import SEE_ALL
from missions.web.access import SCHEDULE, SEE_AGENTS, held_by
from observability.console.waiting import open_for


def console(request: HttpRequest) -> dict[str, Any]:
    """The context of all pages; nothing is asked of the database unless a template shows it."""
    user = request.user
    groups: Any = SimpleLazyObject(lambda: list(user.groups.order_by("name").values_list("name", flat=True)))
    return {
        "DEBUG": settings.DEBUG,
        "section": request.path_info.strip("/").partition("/")[0],
        "queue_open": SimpleLazyObject(lambda: open_for(user)),
        "may_schedule": SimpleLazyObject(lambda: held_by(user, SCHEDULE, groups)),
        "sees_agents": SimpleLazyObject(lambda: held_by(user, SEE_AGENTS, groups)),
        "sees_all": SimpleLazyObject(lambda: held_by(user, SEE_ALL, groups)),
        "frozen": SimpleLazyObject(freezing.current),
        "stopped": SimpleLazyObject(stops.in_force),
        "user_groups": SimpleLazyObject(lambda: ", ".join(groups)),
    }
