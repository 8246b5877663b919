"""What this process learns of tools on servers from the database: registered servers, and tools that no file lists.

A worker learns whenever it reads its rules, so before its first mission: a tool that was called once is known again
while its server is down. What people look at in a web process asks for it. Contacts no server.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence

from django.db import InterfaceError, OperationalError

from missions.engine import limits, registered_servers, tool_forms
from missions.engine.tool_forms import Sighting
from missions.tools import catalogue, registered, registry
from missions.tools.registered import Plan
from missions.tools.servers import Server
from missions.tools.spec import ToolSpec

logger = logging.getLogger(__name__)
Forms = dict[str, tuple[str, str, bool]]  # tool → its server, its form's digest, and whether a person accepted it
_lock = threading.Lock()  # around reading and learning, so that nothing older is learnt after something newer
_forms: Forms = {}


def refresh() -> None:
    """Learn what holds now. Two statements, and one or two more where something is new.

    All or nothing: where the database leaves in the middle, the next one learns it. From threads, never from a loop.
    """
    registry.all_tools()  # what is installed here comes first: nothing that is registered takes its name
    with _lock:
        plan = registered.plan(registered_servers.in_force(), registered_servers.documents)
        known = {tool: seen for tool, seen in _forms.items() if seen[0] not in plan.changed}
        specs = [catalogue.spec(server, tool) for server in plan.came for tool in server.tools]
        found, seen = _unlisted(tool_forms.accepted_marks(), known, plan)
        gone = plan.gone
        usable = [
            catalogue.withdrawn(spec, server) if (server := catalogue.server_of(spec)) in gone else spec
            for spec in (*specs, *found)
        ]
        _replace(plan.changed, usable)
        registered.keep(plan)
        _forms.clear()
        _forms.update(known | seen)
    if plan.changed or plan.came:
        registered.tell()


def _unlisted(accepted: Forms, known: Forms, plan: Plan) -> tuple[list[ToolSpec], Forms]:
    """The tools that no description lists, as they were accepted, but for those that are known so; and their forms."""
    found: list[ToolSpec] = []
    servers = plan.servers
    seen = {tool: mark for tool, mark in accepted.items() if mark[0] in servers and known.get(tool) != mark}
    for form in tool_forms.accepted_forms(list(seen)) if seen else ():
        sighting = form.sighting
        if (server := servers.get(sighting.server)) is not None:
            found += catalogue.discovered(server, [sighting], {sighting.tool: form.by_person})
    return found, seen


def offered(server: Server, tools: Sequence[Sighting], by_people: Mapping[str, bool]) -> None:
    """A server has told its tools: know those that its description does not list. From threads, never from a loop.

    One that went, or is another by now, teaches nothing.
    """
    specs = catalogue.discovered(server, tools, by_people)
    with _lock:
        if is_known(server):
            _replace((), specs)


def is_known(server: Server) -> bool:
    """Whether a server is still described so."""
    return any(one is server for one in registered.servers())


def _replace(servers: Collection[str], specs: Iterable[ToolSpec]) -> None:
    for name, why in registry.replace(servers, specs):
        logger.warning("a tool can not be used", extra={"action": "tool_left_out", "tool": name, "why": why})


def current_tool(name: str) -> ToolSpec:
    """The tool as it is now. Two statements. Raises UnknownTool."""
    refresh()
    return registry.get_tool(name)


def current_tools() -> list[ToolSpec]:
    """All tools as they are now, by name. Two statements."""
    refresh()
    return registry.all_tools()


def keep_up() -> None:
    """Refresh, as a boundary: whatever is wrong with a server or a form, its caller goes on with what is known."""
    try:
        refresh()
    except (OperationalError, InterfaceError):  # the worker waits for its database, and reads its rules anew
        raise
    except Exception:
        logger.exception("Tools on servers were not learnt", extra={"action": "not_learnt"})


limits.learners.append(keep_up)
