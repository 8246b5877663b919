"""`manage.py sandbox`: whether isolation holds on this host (docs/cli.md)."""

from __future__ import annotations

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from missions.management.display import Display
from missions.sandbox import report, selftest


class Command(BaseCommand):
    """Try to escape, and say what came of it."""

    help = "Try whether isolation holds on this host, and say what is missing and how to mend it."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command a verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("check", help="run the self-test here, and record what it found")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the self-test. Raises CommandError where something that is required is missing."""
        found = asyncio.run(selftest.examine())
        report.keep(found)
        Display(self.stdout, as_json=False).table(
            ("ATTEMPT", "OF", "HELD", "WHAT CAME OF IT"),
            ((one.attempt, one.capability, "yes" if one.contained else "NO", one.detail) for one in found.findings),
            empty="Nothing was tried.",
        )
        for name, why in found.missing.items():
            self.stdout.write(f"missing: {name}: {why}")
        required = found.missing.keys() - set(settings.SANDBOX_MAY_LACK)
        if required:
            raise CommandError(f"Isolated jobs are refused here: {', '.join(sorted(required))} missing.")
        self.stdout.write(self.style.SUCCESS(f"Isolated jobs run here, by {found.driver}."))
