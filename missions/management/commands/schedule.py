"""`manage.py schedule`: missions that start by the clock (docs/cli.md).

Exit status: 0 done, 1 refused or failed, 2 wrong usage. `--json` prints one JSON value a line, of the API's shapes.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from missions.engine import schedules
from missions.errors import StandfastError
from missions.management.display import Display
from missions.management.inputs import json_object
from missions.management.refusals import told
from missions.models import Missed, Schedule
from missions.web.problems import Problem, translate
from missions.web.schedules_api import told_whole

Options = dict[str, Any]


class Command(BaseCommand):
    """Keep schedules."""

    help = "List, make and change schedules."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command a verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="list schedules by name")
        _create_arguments(verbs.add_parser("create", help="make a schedule"))
        for verb, text in (
            ("enable", "let it start missions again, from now on"), ("disable", "keep it, but start nothing"),
            ("delete", "remove it; its missions stay"), ("next", "show when it comes next"),
        ):
            one = verbs.add_parser(verb, help=text)
            one.add_argument("name", metavar="NAME")
            if verb == "next":
                one.add_argument("--count", type=int, default=5, help="how many times, at most 100")
        for one in verbs.choices.values():
            one.add_argument("--json", action="store_true", dest="as_json", help="one JSON value a line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb. Raises CommandError with the exit status."""
        display = Display(self.stdout, as_json=options["as_json"])
        try:
            VERBS[options["verb"]](display, options)
        except (StandfastError, Problem, OperationalError, psycopg.OperationalError) as error:
            refusal = translate(error)
            if display.as_json:
                display.json(refusal.as_json())
            raise CommandError(told(refusal), returncode=1) from error


def _create_arguments(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="NAME", help="small letters, digits and dashes")
    parser.add_argument("type", metavar="TYPE", help="the mission type")
    parser.add_argument("cron", metavar="CRON", help="five fields, as in '0 7 * * 1-5'")
    parser.add_argument("--input", default="{}", metavar="FILE|JSON|-", help="a JSON object; - reads standard input")
    parser.add_argument("--timezone", default="UTC", help="as in Europe/Berlin")
    parser.add_argument("--missed", choices=Missed.values, default=Missed.LATEST, help="what missed times are worth")
    parser.add_argument("--title", default="")
    parser.add_argument("--priority", type=int, default=0)
    parser.add_argument("--run-as", metavar="USER", help="who its missions are started by; without it, nobody")
    parser.add_argument("--disabled", action="store_true", help="start nothing yet")


def create(display: Display, options: Options) -> None:
    """Make a schedule. Raises InvalidInput, ScheduleExists."""
    user = None
    if options["run_as"] is not None:
        user = get_user_model().objects.filter(username=options["run_as"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['run_as']!r}.", returncode=1)
    words = {name: options[name] for name in ("type", "cron", "timezone", "missed", "title", "priority")}
    made = schedules.create(
        options["name"], **words, input=json_object(options["input"]), enabled=not options["disabled"], run_as=user
    )
    _tell(display, made, "Made.")


def list_schedules(display: Display, options: Options) -> None:
    """List schedules by name."""
    rows = Schedule.objects.select_related("run_as").order_by("name")
    if display.as_json:
        for row in rows:
            display.json(told_whole(row))
        return
    display.table(
        ("NAME", "TYPE", "CRON", "TIME ZONE", "NEXT", "LAST", "STATE"),
        (
            (
                row.name, row.type, row.cron, row.timezone, row.next_at, row.last_error or row.last_at,
                "enabled" if row.enabled else "disabled",
            )
            for row in rows
        ),
        empty="No schedules. Make one: manage.py schedule create NAME TYPE CRON",
    )


def enable(display: Display, options: Options) -> None:
    """Enable it. Raises UnknownSchedule."""
    _tell(display, schedules.change(options["name"], enabled=True), "Enabled.")


def disable(display: Display, options: Options) -> None:
    """Disable it. Raises UnknownSchedule."""
    _tell(display, schedules.change(options["name"], enabled=False), "Disabled.")


def delete(display: Display, options: Options) -> None:
    """Remove it. Raises UnknownSchedule."""
    schedules.delete(options["name"])
    display.line("Deleted.")


def next_times(display: Display, options: Options) -> None:
    """Show when it comes next. Raises UnknownSchedule."""
    found = schedules.next_times(schedules.get(options["name"]), max(1, min(options["count"], 100)))
    for at in found:
        display.json(at) if display.as_json else display.line(f"{at:%Y-%m-%d %H:%M}Z")
    if not found:
        display.line("Never, while it is disabled.")


def _tell(display: Display, schedule: Schedule, said: str) -> None:
    if display.as_json:
        display.json(told_whole(schedule))
    following = f" Next: {schedule.next_at:%Y-%m-%d %H:%M}Z" if schedule.next_at else ""
    display.line(f"{said}{following}")


VERBS = {
    "list": list_schedules, "create": create, "enable": enable, "disable": disable, "delete": delete,
    "next": next_times,
}
