"""The verbs of `manage.py mission` that steer missions: pause to rollback, fork, and replay as a deploy check."""

from __future__ import annotations

import argparse
import getpass
from typing import Any

from django.core.management.base import CommandError

from missions.control import forks, preview, rehearsing
from missions.engine import controls
from missions.management.display import Display
from missions.management.inputs import USAGE, found, mission_id
from missions.models import ENDED, Mission
from missions.web.control_shapes import ControlReceipt, PreviewShape, ReplayShape
from missions.web.differing import rows as side_by_side
from missions.web.serializers import whole_detail

Options = dict[str, Any]
HELP = {
    "pause": "pause a mission once what runs has come to its record",
    "stop": "pause a mission at once; a running step is cut off",
    "resume": "let a paused mission go on",
    "cancel": "end a mission",
    "retry": "let a failed mission go on from its last checkpoint",
}


def add_arguments(verbs: Any) -> None:
    """Add the sub-commands."""
    for verb, text in HELP.items():
        parser = verbs.add_parser(verb, help=text)
        parser.add_argument("id", type=mission_id, metavar="ID")
        parser.add_argument("--reason", default="")
        if verb == "cancel":
            parser.add_argument("--compensate", action="store_true", help="undo its effects first")
    _rollback_arguments(verbs.add_parser("rollback", help="go back to an earlier entry; effects after it are undone"))
    fork = verbs.add_parser("fork", help="start a new mission from an earlier point of this one")
    fork.add_argument("id", type=mission_id, metavar="ID")
    fork.add_argument("--at", type=int, required=True, metavar="SEQ")
    fork.add_argument("--title", default="")
    fork.add_argument("--effects", choices=("off", "on"), default="off")
    check = verbs.add_parser("replay", help="replay stored journals against this code, without effects")
    check.add_argument("id", type=mission_id, metavar="ID", nargs="?")
    check.add_argument("--all-running", action="store_true", dest="every", help="all that have not ended")


def _rollback_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=mission_id, metavar="ID")
    parser.add_argument("--to", type=int, required=True, metavar="SEQ", help="the last entry to keep")
    parser.add_argument("--reason", default="")
    parser.add_argument("--guidance", default="", help="what the mission is told on its new timeline")
    parser.add_argument("--preview", action="store_true", help="only tell what it would keep and undo")


def operator() -> str:
    """Who sits at the terminal, as the journal names them."""
    return f"{getpass.getuser()} (command)"


def control(display: Display, options: Options) -> None:
    """Ask for a control. Raises ControlRefused, UnknownMission."""
    mission, verb = found(options["id"]), options["verb"]
    facts: Options = {"compensate": True} if options.get("compensate") else {}
    seq = controls.request(mission.pk, verb, reason=options["reason"], by=operator(), **facts)
    _asked(display, mission, verb, seq)


def _asked(display: Display, mission: Mission, verb: str, seq: int) -> None:
    if display.as_json:
        display.json(ControlReceipt({"mission": mission.uid, "verb": verb, "seq": seq}).data)
    display.line(f"Asked for: {verb}. The mission takes it as soon as a worker has it.")


def rollback(display: Display, options: Options) -> None:
    """Roll back, or tell what that would do. Raises ControlRefused."""
    mission = found(options["id"])
    seen = preview.preview(mission, options["to"])
    if options["preview"]:
        _show(display, seen)
        return
    if not options["reason"]:
        raise CommandError("Say why: --reason TEXT.", returncode=USAGE)
    facts = {"to": options["to"], "preview_digest": seen.digest, "guidance": options["guidance"]}
    seq = controls.request(mission.pk, "rollback", reason=options["reason"], by=operator(), **facts)
    _asked(display, mission, "rollback", seq)


def _show(display: Display, seen: preview.Preview) -> None:
    if display.as_json:
        display.json(PreviewShape(seen).data)
        return
    display.line(f"Keeps {seen.kept} entries up to {seen.point.seq} and leaves {seen.undone} behind.")
    display.table(
        ("SEQ", "EFFECT", "STATE", "FATE", "UNDONE BY"),
        ((one.seq, one.sentence, one.state, str(one.fate), one.undo) for one in seen.effects),
        empty="No effect came after it.",
    )
    for child in seen.children:
        display.line(f"Cancels {child.uid} ({child.title}), which is {child.state}.")


def fork(display: Display, options: Options) -> None:
    """Start a new mission from an earlier point. Raises ControlRefused."""
    mission = found(options["id"])
    made = forks.fork(
        mission, options["at"], title=options["title"], effects=options["effects"] == "on", via="command"
    )
    if display.as_json:
        display.json(whole_detail(found(made.uid)))
    display.line(f"Started {made.uid}, with effects {options['effects']}.")


def check(display: Display, options: Options) -> None:
    """Replay one journal, or those of all missions that have not ended. Raises CommandError where one differs."""
    if bool(options["id"]) == options["every"]:
        raise CommandError("Name a mission, or say --all-running.", returncode=USAGE)
    running = Mission.objects.exclude(state__in=ENDED).order_by("pk")
    missions = running.iterator(chunk_size=500) if options["every"] else [found(options["id"])]
    total = differing = unknown = 0
    for mission in missions:
        seen = rehearsing.timed(mission)
        total, unknown, differing = total + 1, unknown + (seen.ok is None), differing + (seen.ok is False)
        if display.as_json:
            display.json({"mission": mission.uid, **ReplayShape(seen).data})
        if not seen.ok:
            display.line(f"{mission.uid}: {seen.detail}")
        if seen.differs and not display.as_json:
            sides = ((row.where, row.recorded, row.called) for row in side_by_side(seen.differs))
            display.table(("WHERE", "RECORDED", "CALLED NOW"), sides, empty="")
    same = total - differing - unknown
    display.line(f"{same} of {total} missions follow this code; {unknown} are left to other code.")
    if differing:
        raise CommandError(f"{differing} of {total} missions would diverge.", returncode=1)


VERBS = {**dict.fromkeys(HELP, control), "rollback": rollback, "fork": fork, "replay": check}
