"""What isolation there is: which capabilities the last self-test found, which are missing and how to mend that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from missions.engine import hosts
from missions.models import SandboxCheck, Worker
from missions.models.fields import DatabaseNow
from missions.sandbox.capabilities import Capability


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One attempt of the self-test to escape, and what came of it."""

    attempt: str
    capability: str
    contained: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a self-test found. `missing` tells for each capability why, and how to mend it."""

    driver: str = "none"
    capabilities: frozenset[str] = frozenset()
    missing: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    checked_at: dt.datetime | None = None  # None: no self-test has run yet

    def reasons(self) -> list[tuple[str, str]]:
        """Each reason once, with what is missing for it: ("memory, pids", why)."""
        found: dict[str, list[str]] = {}
        for name, why in self.missing.items():
            found.setdefault(why, []).append(name)
        return [(", ".join(names), why) for why, names in found.items()]


UNTESTED = "No self-test has run yet; start a worker, or run `manage.py sandbox check`."


def current() -> Report:
    """What the last self-tests found; with several hosts at work, only what all of them can. Asks the database."""
    living = Worker.objects.filter(dead_at=None).values("host")
    rows = list(SandboxCheck.objects.filter(host__in=living)) or list(SandboxCheck.objects.order_by("-checked_at")[:1])
    if not rows:
        return Report(missing=dict.fromkeys(map(str, Capability), UNTESTED))
    missing: dict[str, str] = {}
    for row in rows:
        at = f"On {row.host}: " if len(rows) > 1 else ""
        for name, why in row.missing.items():
            missing.setdefault(name, f"{at}{why}")
    return Report(
        driver=rows[0].driver, missing=missing, checked_at=min(row.checked_at for row in rows),
        capabilities=frozenset.intersection(*(frozenset(row.capabilities) for row in rows)) - missing.keys(),
        findings=tuple(Finding(**finding) for finding in rows[0].findings),
    )  # fmt: skip


def keep(report: Report) -> None:
    """Record what a self-test found on this host."""
    SandboxCheck.objects.update_or_create(
        host=hosts.identity().host,
        defaults={
            "driver": report.driver, "capabilities": sorted(report.capabilities), "missing": dict(report.missing),
            "findings": [asdict(finding) for finding in report.findings], "checked_at": DatabaseNow(),
        },
    )  # fmt: skip
