"""How the system does, for people and programs that look after it: checks, what does not move, figures day by day."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q

from missions.visibility import types_seen_by
from missions.web.access import visible_missions
from observability import rollup, watchdog
from observability.models import Check, Daily, Stuck

DAYS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`late` are the faults of the housekeeping as of now: where there are any, the checks are as old as they say."""

    late: list[str]
    checks: list[Check]
    stuck: list[Stuck]

    @property
    def status(self) -> str:
        """One word: late, unwell or ok."""
        if self.late:
            return "late"
        return "ok" if all(check.ok for check in self.checks) else "unwell"


def health(user: User) -> Health:
    """What the watches found last, and whether they still watch; of missions, those that this person may see."""
    checks = Check.objects.exclude(name=watchdog.NAME).order_by("name")  # told live instead
    seen = Q(mission=None) | Q(mission__in=visible_missions(user).values("uid"))
    stuck = Stuck.objects.filter(seen).order_by("found_at", "pk")
    return Health(late=watchdog.faults_found(), checks=list(checks), stuck=list(stuck))


def days(user: User, days: int = DAYS) -> list[Daily]:
    """The figures of the last closed days, newest first, of the types whose missions this person may see."""
    return rollup.last_days(days, types_seen_by(user))
