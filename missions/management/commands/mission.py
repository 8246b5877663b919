"""`manage.py mission`: start, watch, steer and check missions from a terminal (docs/cli.md).

Exit status: 0 done, 1 refused or failed, 2 wrong usage. `--json` prints one JSON value a line, of the API's shapes.
"""

from __future__ import annotations

import argparse
import getpass
import json
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from missions.engine import freezing, history, mailbox, starting
from missions.errors import StandfastError
from missions.keeping import reading
from missions.management import archiving, crashtest, steering
from missions.management.artifacts import arguments as artifact_arguments
from missions.management.artifacts import artifacts
from missions.management.display import Display
from missions.management.following import follow
from missions.management.inputs import USAGE, found, json_object, mission_id, moment
from missions.management.refusals import told
from missions.models import Mission, OnFailure, State
from missions.web.api import filtered, refuse_reserved
from missions.web.pagination import LIMIT
from missions.web.problems import Problem, translate
from missions.web.record_shapes import EntrySerializer, VerificationSerializer
from missions.web.serializers import MissionSerializer, SignalReceipt, whole_detail

Options = dict[str, Any]


class Command(BaseCommand):
    """The operator's command line."""

    help = "Start, watch, steer and check missions."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command a verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        _start_arguments(verbs.add_parser("start", help="start a mission"))
        _list_arguments(verbs.add_parser("list", help="list missions, newest first"))
        for verb, text in (("show", "show one mission"), ("watch", "follow a mission until it ends")):
            verbs.add_parser(verb, help=text).add_argument("id", type=mission_id, metavar="ID")
        _signal_arguments(verbs.add_parser("signal", help="send a signal to a mission"))
        artifact_arguments(verbs.add_parser("artifacts", help="list what a mission kept, or save one to a file"))
        _thaw_arguments(verbs.add_parser("thaw", help="let missions go on after a backup was restored"))
        _verify_arguments(verbs.add_parser("verify", help="recompute the hash chain of one mission or of all"))
        crashtest.arguments(verbs.add_parser("crashtest", help="kill a mission at each position of its journal"))
        steering.add_arguments(verbs)
        archiving.add_arguments(verbs)
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


def _start_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE")
    parser.add_argument("--input", default="{}", metavar="FILE|JSON|-", help="a JSON object; - reads standard input")
    parser.add_argument("--key", help="an idempotency key: the same key starts one mission")
    parser.add_argument("--title", default="")
    parser.add_argument("--priority", type=int, default=0, help="from -100 to 100; higher runs first")
    parser.add_argument("--deadline", type=moment, metavar="TIME", help="stop it where it still runs at this time")
    parser.add_argument(
        "--after", type=mission_id, action="append", default=[], metavar="ID", help="only once this one has ended"
    )
    parser.add_argument(
        "--on-failure", choices=OnFailure.values, default=OnFailure.FAIL, help="what to do where one of those fails"
    )
    parser.add_argument("--wait", action="store_true", help="wait for its end; exit with 1 unless it completed")


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", choices=State.values)
    parser.add_argument("--type")
    parser.add_argument("--waiting-on", metavar="WHAT", help="decision, signal, timer, tool, or as in signal:NAME")
    parser.add_argument("--limit", type=int, default=20, help=f"at most {LIMIT}")


def _signal_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=mission_id, metavar="ID")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--payload", default="{}", metavar="FILE|JSON|-", help="a JSON object")
    parser.add_argument("--key", help="the same key is delivered once")


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=mission_id, metavar="ID", nargs="?")
    parser.add_argument("--all", action="store_true", dest="every")


def _thaw_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, help="what was looked at, and why it may go on")
    parser.add_argument("--nothing-was-lost", action="store_true", help="a planned move: no effect is looked up first")


def start(display: Display, options: Options) -> None:
    """Start a mission, and wait for its end where that is asked."""
    mission, created = starting.start(
        options["type"], json_object(options["input"]), title=options["title"], key=options["key"], via="command",
        priority=options["priority"], deadline_at=options["deadline"], after=options["after"],
        on_failure=options["on_failure"],
    )
    display.line(f"{'Started' if created else 'Started before with this key:'} {mission.uid}")
    if options["wait"]:
        wait(display, mission)
    elif display.as_json:
        display.json(whole_detail(found(mission.uid)))


def wait(display: Display, mission: Mission) -> None:
    """Follow a mission to its end. Raises CommandError unless it completed."""
    for entry in follow(mission):
        display.entry(entry)
    ended = found(mission.uid)
    if display.as_json:
        display.json(whole_detail(ended))
    if ended.state != State.COMPLETED:
        raise CommandError(f"The mission {ended.state}.", returncode=1)


def list_missions(display: Display, options: Options) -> None:
    """List missions, newest first."""
    params = {name: options[name] or "" for name in ("state", "type", "waiting_on")}
    rows = filtered(Mission.objects.select_related("brief__started_by", "outcome"), params).order_by("-pk")
    missions = list(rows[: max(1, min(options["limit"], LIMIT))])
    shown = MissionSerializer(missions, many=True).data
    if display.as_json:
        for mission in shown:
            display.json(mission)
        return
    display.table(
        ("ID", "TYPE", "STATE", "STARTED", "WAITS FOR", "TITLE"),
        (
            (mission.uid, mission.type, mission.state, mission.brief.started_at, _waits(row), mission.brief.title)
            for mission, row in zip(missions, shown, strict=True)
        ),
        empty="No missions. Start one: manage.py mission start TYPE --input FILE",
    )


def _waits(row: dict[str, Any]) -> str:
    waiting = row["waiting_for"] or {}
    return " ".join(part for part in (waiting.get("kind"), waiting.get("what")) if part)


def show(display: Display, options: Options) -> None:
    """Show one mission and its last entries."""
    mission = found(options["id"])
    shown = whole_detail(mission)
    if display.as_json:
        return display.json(shown)
    facts = {**shown, "waiting_for": _waits(shown), "input": json.dumps(shown["input"], ensure_ascii=False)}
    facts["started_at"] = mission.brief.started_at
    verdict = facts.pop("verdict") or {}
    display.facts([*facts.items(), ("verdict", verdict.get("verdict")), ("summary", verdict.get("summary"))])
    display.line("")
    for entry in history.entries(mission.pk):
        display.entry(entry)


def watch(display: Display, options: Options) -> None:
    """Follow a mission until it ends or the watcher stops."""
    try:
        for entry in follow(found(options["id"])):
            if display.as_json:
                display.json(EntrySerializer(entry).data)
            display.entry(entry)
    except KeyboardInterrupt:
        display.line("Stopped watching; the mission goes on.")


def signal(display: Display, options: Options) -> None:
    """Send a signal. Raises MissionEnded, UnknownMission."""
    mission, name, key = found(options["id"]), options["name"], options["key"]
    refuse_reserved(name, key)
    delivered = mailbox.deliver(mission.pk, name, json_object(options["payload"]), key=key, sender="command")
    if display.as_json:
        display.json(SignalReceipt({"mission": mission.uid, "name": name, "key": key, "delivered": delivered}).data)
    display.line("Delivered." if delivered else "Delivered before with this key; nothing changed.")


def verify(display: Display, options: Options) -> None:
    """Recompute chains. Raises CommandError where one is broken."""
    if bool(options["id"]) == options["every"]:
        raise CommandError("Name a mission, or say --all.", returncode=USAGE)
    if options["id"] and (left := reading.gone(options["id"])):
        if not archiving.verified(display, left):
            raise CommandError("The bundle does not verify.", returncode=1)
        return
    missions = Mission.objects.order_by("pk").iterator() if options["every"] else [found(options["id"])]
    checked = [(mission.uid, history.verify(mission)) for mission in missions]
    if display.as_json:
        for uid, result in checked:
            display.json({"mission": uid, **VerificationSerializer(result).data})
    broken = [(uid, result) for uid, result in checked if not result.ok]
    for uid, result in broken:
        display.line(f"{uid}: broken at {result.broken_at}: {result.reason}")
    display.line(f"{len(checked) - len(broken)} of {len(checked)} missions verified.")
    if broken:
        raise CommandError(f"{len(broken)} of {len(checked)} missions do not verify.", returncode=1)


def thaw(display: Display, options: Options) -> None:
    """Thaw a frozen installation. Raises NotFrozen."""
    by = f"command: {getpass.getuser()}"
    marked = freezing.thaw(options["reason"], by=by, nothing_was_lost=options["nothing_was_lost"])
    if display.as_json:
        display.json({"suspect": marked})
    display.line(f"Thawed. Each effect of {marked} missions is looked up first from now on.")


VERBS = {
    "start": start, "list": list_missions, "show": show, "watch": watch, "signal": signal, "verify": verify,
    "crashtest": crashtest.run, "thaw": thaw, "artifacts": artifacts, **steering.VERBS, **archiving.VERBS,
}
