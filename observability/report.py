"""How the system does, for people and programs that look after it: checks, what does not move, figures day by day."""

from __future__ import annotations

from dataclasses import dataclass

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


def health() -> Health:
    """What the watches found last, and whether they still watch."""
    checks = Check.objects.exclude(name=watchdog.NAME).order_by("name")  # told live instead
    stuck = Stuck.objects.order_by("found_at", "pk")
    return Health(late=watchdog.faults_found(), checks=list(checks), stuck=list(stuck))


def days(days: int = DAYS) -> list[Daily]:
    """The figures of the last closed days, newest first."""
    return rollup.last_days(days)
