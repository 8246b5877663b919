"""The archive on the command line: `mission archive`, `archived`, `hold`, `unhold`. Parses and shows."""

from __future__ import annotations

import argparse
import getpass
import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from missions.errors import NotArchived
from missions.keeping import archive, bundle, reading, restoring, retention, shelf, verifying
from missions.management.display import Display
from missions.management.inputs import USAGE, found, mission_id
from missions.models import Archived
from missions.web.archive_api import ArchivedDetailSerializer, ArchivedSerializer, journal_of
from missions.web.pagination import LIMIT
from missions.web.record_shapes import VerificationSerializer

Options = dict[str, Any]


def add_arguments(verbs: Any) -> None:
    """The sub-commands."""
    one = verbs.add_parser("archive", help="move an ended mission into the archive")
    one.add_argument("id", type=mission_id, metavar="ID")
    _archived_arguments(verbs.add_parser("archived", help="list, show, verify and restore what is in the archive"))
    hold = verbs.add_parser("hold", help="keep a mission out of the archive, whatever its age")
    hold.add_argument("id", type=mission_id, metavar="ID")
    hold.add_argument("--reason", required=True)
    verbs.add_parser("unhold", help="lift a hold").add_argument("id", type=mission_id, metavar="ID")


def _archived_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=sorted(ARCHIVED), metavar="list|show|verify|restore")
    parser.add_argument("id", type=mission_id, metavar="ID", nargs="?")
    parser.add_argument("--all", action="store_true", dest="every", help="verify: every bundle")
    parser.add_argument("--limit", type=int, default=20, help=f"list: at most {LIMIT}")
    parser.add_argument("--bundle", metavar="FILE", help="show: write the bundle to a file that is not there yet")


def archive_one(display: Display, options: Options) -> None:
    """Archive one ended mission. Raises Kept, UnknownMission, CommandError."""
    mission = found(options["id"])
    try:
        archived = archive.archive(mission.pk)
    except (bundle.Damaged, OSError) as error:
        raise CommandError(f"Not archived, and nothing was removed: {error}", returncode=1) from error
    if archived is None:
        raise CommandError("Not archived: somebody holds the mission or changed it; try again.", returncode=1)
    if display.as_json:
        display.json(ArchivedSerializer(archived).data)
    display.line(f"Archived under seal {archived.number}: {archived.entries} entries, {archived.bytes:,} bytes.")


def archived(display: Display, options: Options) -> None:
    """One of the verbs on what is in the archive."""
    ARCHIVED[options["what"]](display, options)


def _list(display: Display, options: Options) -> None:
    rows = list(Archived.objects.filter(returned_at=None).order_by("-number")[: max(1, min(options["limit"], LIMIT))])
    if display.as_json:
        for row in rows:
            display.json(ArchivedSerializer(row).data)
        return
    display.table(
        ("ID", "SEAL", "TYPE", "STATE", "VERDICT", "ENDED", "ENTRIES", "TITLE"),
        ((row.uid, row.number, row.type, row.state, row.verdict, row.ended_at, row.entries, row.title) for row in rows),
        empty="Nothing is archived.",
    )


def _show(display: Display, options: Options) -> None:
    row = _named(options)
    if options["bundle"]:
        _write(row, Path(options["bundle"]))
    if display.as_json:
        return display.json(ArchivedDetailSerializer(row).data)
    display.facts(ArchivedSerializer(row).data.items())
    display.line("")
    for entry in journal_of(row):
        display.entry(entry)


def _write(row: Archived, file: Path) -> None:
    try:
        with shelf.opened(bytes(row.digest), row.location) as stored, file.open("xb") as out:
            shutil.copyfileobj(stored, out)
    except (bundle.Damaged, OSError) as error:
        raise CommandError(f"{file}: {error}", returncode=1) from error


def _verify(display: Display, options: Options) -> None:
    if bool(options["id"]) == options["every"]:
        raise CommandError("Name a mission, or say --all.", returncode=USAGE)
    rows = Archived.objects.order_by("number").iterator() if options["every"] else [_named(options)]
    broken = sum(not verified(display, row) for row in rows)
    if broken:
        raise CommandError(f"{broken} bundles do not verify.", returncode=1)


def verified(display: Display, row: Archived) -> bool:
    """Verify one bundle and tell of it."""
    result = verifying.verify(row)
    if display.as_json:
        display.json({"mission": row.uid, "archived": True, **VerificationSerializer(result).data})
    display.line(f"{row.uid}: archived, {'seal good' if result.ok else f'and damaged: {result.reason}'}")
    return result.ok


def _restore(display: Display, options: Options) -> None:
    mission = restoring.restore(_named(options), by=getpass.getuser())
    display.line(f"Restored: {mission.uid}")


def _named(options: Options) -> Archived:
    if options["id"] is None:
        raise CommandError("Name a mission.", returncode=USAGE)
    row = reading.latest(options["id"])
    if row is None:
        raise NotArchived(f"The archive holds no mission {options['id']}.")
    return row


def hold(display: Display, options: Options) -> None:
    """Place a hold."""
    retention.hold(found(options["id"]).pk, options["reason"], by=getpass.getuser())
    display.line("The mission stays until the hold is lifted.")


def unhold(display: Display, options: Options) -> None:
    """Lift a hold."""
    lifted = retention.release(found(options["id"]).pk, by=getpass.getuser())
    display.line("The hold is lifted." if lifted else "There was no hold.")


ARCHIVED = {"list": _list, "show": _show, "verify": _verify, "restore": _restore}
VERBS = {"archive": archive_one, "archived": archived, "hold": hold, "unhold": unhold}
