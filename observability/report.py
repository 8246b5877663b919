"""How the system does, for people and programs that look after it: checks, what does not move, figures day by day."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q

from missions.sandbox.capabilities import Capability
from missions.sandbox.report import Report
from missions.sandbox.report import current as isolation
from missions.visibility import types_seen_by
from missions.web import tool_servers
from missions.web.access import visible_missions
from missions.web.tool_servers import Seen
from observability import rollup, watchdog
from observability.models import Check, Daily, Stuck

DAYS = 14


KEPT_FROM = {
    Capability.FILESYSTEM: "files of the host", Capability.NETWORK: "the network", Capability.PIDS: "other processes",
    Capability.MEMORY: "more memory than theirs", Capability.DISK: "more disk than theirs",
    Capability.SYSCALLS: "system calls that none of them needs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`late` are the faults of the housekeeping as of now: where there are any, the checks are as old as they say."""

    late: list[str]
    checks: list[Check]
    stuck: list[Stuck]
    isolation: Report
    servers: list[Seen]  # MCP servers that were not reached, or whose tools are blocked since they changed

    @property
    def status(self) -> str:
        """One word: late, unwell or ok."""
        if self.late:
            return "late"
        return "ok" if all(check.ok for check in self.checks) else "unwell"

    @property
    def kept_from(self) -> list[tuple[str, str, bool]]:
        """What isolation is made of: its name, what it keeps programs from, and whether it does."""
        return [(name.value, means, name not in self.isolation.missing) for name, means in KEPT_FROM.items()]


def health(user: User) -> Health:
    """What the watches found last, and whether they still watch; of missions, those that this person may see."""
    checks = Check.objects.exclude(name=watchdog.NAME).order_by("name")  # told live instead
    seen = Q(mission=None) | Q(mission__in=visible_missions(user).values("uid"))
    stuck = Stuck.objects.filter(seen).order_by("found_at", "pk")
    late = watchdog.faults_found()
    return Health(late=late, checks=list(checks), stuck=list(stuck), isolation=isolation(), servers=_troubled())


def _troubled() -> list[Seen]:
    return [one for one in tool_servers.servers() if one.state == "unreached" or one.blocked]


def days(user: User, days: int = DAYS) -> list[Daily]:
    """The figures of the last closed days, newest first, of the types whose missions this person may see."""
    return rollup.last_days(days, types_seen_by(user))
