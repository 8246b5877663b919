"""`manage.py budget`: period budgets (docs/cli.md)."""

from __future__ import annotations

import getpass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from missions.engine import period_budgets
from missions.errors import InvalidInput, UnknownBudget
from missions.management.display import Display
from missions.models import Counted, Exhausted, Period, PeriodBudget, Subject


class Command(BaseCommand):
    """List, set, change and lift period budgets."""

    help = "List, set, change and lift what missions, agents and tools may use in a period."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command a verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="list budgets, and how they stand")
        new = verbs.add_parser("set", help="set a budget")
        change = verbs.add_parser("change", help="change a budget; what was spent stays spent")
        delete = verbs.add_parser("delete", help="lift a budget; who waits goes on")
        for verb in (new, change, delete):
            verb.add_argument("name", metavar="NAME")
        new.add_argument("counts", choices=Counted.values, metavar="COUNTS", help="money, tokens, steps, wall, effects")
        new.add_argument("--amount", required=True, help="what may be used in a period")
        new.add_argument("--period", required=True, choices=Period.values, metavar="PERIOD", help="hour … rolling")
        new.add_argument("--of", metavar="SUBJECT:NAME", default="all", help="mission_type:X, agent:X or tool:X")
        new.add_argument("--currency", default="", help="of money, as in GBP")
        new.add_argument("--zone", default="UTC", help="the calendar's time zone")
        new.add_argument("--rolling-seconds", type=int, help="of a rolling period")
        change.add_argument("--amount", help="what may be used in a period")
        for verb in (new, change):
            verb.add_argument("--extension", help="what people can add when they are asked; else the amount")
            verb.add_argument("--group", help="who is asked")
            verb.add_argument("--on-exhausted", choices=Exhausted.values, metavar="WHAT", help="escalate or deny")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb. Raises CommandError with the exit status."""
        verbs = {"list": self.list, "set": self.set, "change": self.change, "delete": self.delete}
        try:
            verbs[options["verb"]](options)
        except InvalidInput as error:
            said = " ".join(f"{one['field']}: {one['message']}" for one in error.errors)
            raise CommandError(said, returncode=2) from error
        except UnknownBudget as error:
            raise CommandError(f"There is no budget {options['name']!r}.", returncode=1) from error

    def list(self, options: dict[str, Any]) -> None:
        """Show each budget with how it stands."""
        Display(self.stdout, as_json=False).table(
            ("NAME", "OF", "COUNTS", "PERIOD", "LIMIT", "SPENT", "LEFT", "WAITING"),
            (
                (
                    row.name, f"{row.subject}:{row.subject_name}" if row.subject_name else row.subject,
                    f"{row.counts} {row.currency}".strip(),
                    f"{row.rolling_seconds}s" if row.rolling_seconds else row.period,
                    *(f"{amount.normalize():f}" for amount in (row.limit, row.spent, row.left)), row.waiting,
                )
                for row in period_budgets.standings(PeriodBudget.objects.order_by("name"))
            ),
            empty="No budgets.",
        )

    def set(self, options: dict[str, Any]) -> None:
        """Set a budget; it applies within a second."""
        subject, _, whose = options["of"].partition(":")
        given = ("name", "counts", "period", "currency", "zone", "rolling_seconds", "group", "on_exhausted")
        values = {field: options[field] for field in given}
        values |= {"subject": Subject(subject) if subject in Subject.values else subject, "subject_name": whose}
        period_budgets.add(**values, **_amounts(options), by=f"command line: {getpass.getuser()}")
        self.stdout.write("Set.")

    def change(self, options: dict[str, Any]) -> None:
        """Change what is given."""
        values = {field: options[field] for field in ("group", "on_exhausted") if options[field] is not None}
        by = f"command line: {getpass.getuser()}"
        period_budgets.change(options["name"], **values, **_amounts(options), by=by)
        self.stdout.write("Changed.")

    def delete(self, options: dict[str, Any]) -> None:
        """Lift a budget."""
        period_budgets.drop(options["name"])
        self.stdout.write("Lifted.")


def _amounts(options: dict[str, Any]) -> dict[str, Decimal]:
    found = {}
    for name in ("amount", "extension"):
        if options[name] is not None:
            try:
                found[name] = Decimal(options[name])
            except InvalidOperation as error:
                raise CommandError(f"--{name} wants a number.", returncode=2) from error
    return found
