"""`manage.py mission artifacts`: list what a mission kept, and save one of it to a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from missions.errors import UnknownArtifact
from missions.management.display import Display
from missions.management.inputs import USAGE, found, mission_id
from missions.models import Artifact
from missions.storage import blobs
from missions.web.files_api import told


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("id", type=mission_id, metavar="ID")
    parser.add_argument("--save", nargs=2, metavar=("NAME", "FILE"), help="write the newest of this name to a new file")


def artifacts(display: Display, options: dict[str, Any]) -> None:
    """List the artifacts of a mission, or save one. Raises UnknownArtifact, CommandError."""
    rows = list(Artifact.objects.filter(mission_id=found(options["id"]).pk).order_by("seq"))
    if options["save"]:
        return _save(display, rows, *options["save"])
    if display.as_json:
        for row in told(rows):
            display.json(row)
        return None
    shown = ((row.name, row.media_type, f"{row.size:,}", row.kept_at, bytes(row.digest).hex()) for row in rows)
    display.table(("NAME", "TYPE", "BYTES", "KEPT", "SHA256"), shown, empty="The mission has kept no artifacts.")
    return None


def _save(display: Display, rows: list[Artifact], name: str, file: str) -> None:
    row = next((row for row in reversed(rows) if row.name == name), None)
    if row is None:
        raise UnknownArtifact(f"The mission has kept no artifact {name!r}.")
    try:
        with Path(file).open("xb") as written:
            for portion in blobs.portions(bytes(row.digest)):
                written.write(portion)
    except OSError as error:
        wrong = f"{file}: {error.strerror}; what was there is as it was."
        raise CommandError(wrong, returncode=USAGE) from error
    if display.as_json:
        display.json(told([row])[0])
    display.line(f"Saved {row.size:,} bytes to {file}.")
