"""`manage.py limit`: limits on types, tools and agents (docs/cli.md)."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from missions.engine import limits
from missions.errors import InvalidInput
from missions.management.display import Display
from missions.models import Limit, Scope


class Command(BaseCommand):
    """List, set and delete limits."""

    help = "List, set and delete limits on mission types, tools and agents."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command a verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="list limits, and what goes on under them")
        put = verbs.add_parser("set", help="set a limit, over the old one if there is one")
        delete = verbs.add_parser("delete", help="lift a limit; who waits goes on")
        for verb in (put, delete):
            verb.add_argument("scope", choices=Scope.values, metavar="SCOPE", help="type, tool or agent")
            verb.add_argument("name", metavar="NAME", help="exact, or * for all of the scope together")
        put.add_argument("--concurrency", type=int, help="so many at once, over all workers")
        put.add_argument("--rate", metavar="COUNT/SECONDS", help="so many calls in so many seconds, as in 100/60")
        put.add_argument("--escalate-after", type=float, metavar="SECONDS", help="people are told of a longer wait")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb. Raises CommandError with the exit status."""
        {"list": self.list, "set": self.set, "delete": self.delete}[options["verb"]](options)

    def list(self, options: dict[str, Any]) -> None:
        """Show each limit with what goes on and waits."""
        Display(self.stdout, as_json=False).table(
            ("SCOPE", "NAME", "AT ONCE", "RATE", "TELL AFTER", "UNDER WAY", "WAITING"),
            (
                (
                    row.scope, row.name, "-" if row.concurrency is None else row.concurrency,
                    f"{row.rate_count}/{row.rate_seconds:g}s" if row.rate_count else "-",
                    f"{row.escalate_after_seconds:g}s" if row.escalate_after_seconds else "-", row.under_way,
                    row.waiting,
                )
                for row in limits.told(Limit.objects.order_by("scope", "name"))
            ),
            empty="No limits.",
        )

    def set(self, options: dict[str, Any]) -> None:
        """Set a limit; it applies within a second."""
        count, seconds = _rate(options["rate"])
        try:
            limits.put(
                options["scope"], options["name"], by=f"command line: {getpass.getuser()}",
                concurrency=options["concurrency"], rate_count=count, rate_seconds=seconds,
                escalate_after_seconds=options["escalate_after"],
            )
        except InvalidInput as error:
            raise CommandError(" ".join(one["message"] for one in error.errors), returncode=2) from error
        self.stdout.write("Set.")

    def delete(self, options: dict[str, Any]) -> None:
        """Lift a limit."""
        limit = Limit.objects.filter(scope=options["scope"], name=options["name"]).first()
        if limit is None:
            raise CommandError(f"There is no limit on {options['scope']} {options['name']!r}.", returncode=1)
        limits.drop(limit.pk)
        self.stdout.write("Lifted.")


def _rate(text: str | None) -> tuple[int | None, float | None]:
    if text is None:
        return None, None
    count, _, seconds = text.partition("/")
    try:
        return int(count), float(seconds)
    except ValueError as error:
        raise CommandError("--rate wants COUNT/SECONDS, as in 100/60.", returncode=2) from error
